"""A function as a Service of Knative, which starts its pods by the requests that are under way, down to none.

Fields and annotations: Knative docs, "Serving API" and "Autoscaling"; what is left out here (a grace period, spreading
over nodes) Knative either refuses or does itself.
"""

from math import ceil

from outdial.host.manifests.components import ClusterComponent
from outdial.host.manifests.pod import Object, container, labels, volumes
from outdial.host.wire.config import FunctionConfig


def served(part: ClusterComponent, config: FunctionConfig, image: str, account: str) -> Object:
    """Return the Service of a function; its pods get at most `config.concurrency` requests at a time each."""
    scaling = {
        "min-scale": part.least,
        "max-scale": part.most,
        "target": config.concurrency,
        "target-utilization-percentage": 70,
    }
    annotations = {f"autoscaling.knative.dev/{name}": str(value) for name, value in scaling.items()}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": part.name, "labels": labels(part)},
        "spec": {
            "template": {
                "metadata": {"labels": labels(part), "annotations": annotations},
                "spec": {
                    "serviceAccountName": account,
                    "enableServiceLinks": False,
                    "containerConcurrency": config.concurrency,
                    "timeoutSeconds": ceil(config.wall_clock_s),
                    "containers": [container(part, image)],
                    "volumes": volumes(),
                },
            }
        },
    }
