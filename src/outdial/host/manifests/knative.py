"""A function as a Knative Service, which scales pods with the number of requests, down to zero.

Fields and annotations: Knative docs, "Serving API" and "Autoscaling". Grace period and spread over nodes are
missing: Knative rejects the one and does the other itself.
"""

from math import ceil

from outdial.host.manifests.components import ClusterComponent
from outdial.host.manifests.pod import Object, container, labels, volumes
from outdial.host.wire.config import FunctionConfig


def served(component: ClusterComponent, config: FunctionConfig, image: str, account: str) -> Object:
    """Return the Service of a function. Each pod gets at most `config.concurrency` requests at a time."""
    scaling = {
        "min-scale": component.min_pods,
        "max-scale": component.max_pods,
        "target": config.concurrency,
        "target-utilization-percentage": 70,
    }
    annotations = {f"autoscaling.knative.dev/{name}": str(value) for name, value in scaling.items()}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": component.name, "labels": labels(component)},
        "spec": {
            "template": {
                "metadata": {"labels": labels(component), "annotations": annotations},
                "spec": {
                    "serviceAccountName": account,
                    "enableServiceLinks": False,
                    "containerConcurrency": config.concurrency,
                    "timeoutSeconds": ceil(config.wall_clock_s),
                    "containers": [container(component, image)],
                    "volumes": volumes(),
                },
            }
        },
    }
