"""The container of a component, with resources, probes and a restricted security context."""

from math import ceil
from typing import Any

from outdial.host.manifests.components import PORT, ClusterComponent

Object = dict[str, Any]

# The user of the Dockerfile.
USER = 10001
# TMPDIR and OUTDIAL_HOME of the image.
WRITABLE = "/var/tmp"


def labels(component: ClusterComponent) -> dict[str, str]:
    """Return the labels that select a component's pods (Kubernetes docs: Recommended Labels)."""
    return {"app.kubernetes.io/name": "outdial", "app.kubernetes.io/component": component.name}


def container(component: ClusterComponent, image: str) -> Object:
    """Return a component's container, for both Kubernetes and Knative."""
    made = {"name": component.name, "image": image, "command": list(component.command), **component.references.env()}
    if component.listens:
        request = {"httpGet": {"path": component.health, "port": PORT}}
        startup_tries = ceil(component.boot_s) + 30
        made |= {
            "ports": [{"containerPort": PORT}],
            "startupProbe": {**request, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": startup_tries},
            "readinessProbe": {**request, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 2},
            "livenessProbe": {**request, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        }
    memory = f"{component.memory_mb}Mi"
    return made | {
        "resources": {
            "requests": {"cpu": f"{250 * component.cores}m", "memory": memory},
            "limits": {"cpu": f"{1000 * component.cores}m", "memory": memory},
        },
        "securityContext": _RESTRICTED,
        "volumeMounts": [{"name": "tmp", "mountPath": WRITABLE}],
    }


def volumes() -> list[Object]:
    """Return the only writable volume of a container."""
    return [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]


# Pod Security Standards, "restricted" (Kubernetes docs), plus a read-only root file system.
_RESTRICTED: Object = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
