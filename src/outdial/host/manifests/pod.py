"""The container that every part runs in, and what keeps it harmless."""

from math import ceil
from typing import Any

from outdial.host.manifests.components import PORT, ClusterComponent

Object = dict[str, Any]

# The user of the Dockerfile.
USER = 10001
# Where the image has TMPDIR and OUTDIAL_HOME.
WRITABLE = "/var/tmp"


def labels(part: ClusterComponent) -> dict[str, str]:
    """Return the labels by which a part's pods are found (Kubernetes docs: Recommended Labels)."""
    return {"app.kubernetes.io/name": "outdial", "app.kubernetes.io/component": part.name}


def container(part: ClusterComponent, image: str) -> Object:
    """Return a part's container, in the form that both Kubernetes and Knative take."""
    made = {"name": part.name, "image": image, "command": list(part.command), **part.references.env()}
    if part.listens:
        made |= {"ports": [{"containerPort": PORT}], **_probes(part)}
    return made | {
        "resources": _resources(part),
        "securityContext": _RESTRICTED,
        "volumeMounts": [{"name": "tmp", "mountPath": WRITABLE}],
    }


def volumes() -> list[Object]:
    """Return the one place that a container can write to."""
    return [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]


# Pod Security Standards, "restricted" (Kubernetes docs), and a file system that nobody writes to.
_RESTRICTED: Object = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _resources(part: ClusterComponent) -> Object:
    memory = f"{part.memory_mb}Mi"
    return {
        "requests": {"cpu": f"{250 * part.cores}m", "memory": memory},
        "limits": {"cpu": f"{1000 * part.cores}m", "memory": memory},
    }


def _probes(part: ClusterComponent) -> Object:
    ask = {"httpGet": {"path": part.health, "port": PORT}}
    return {
        "startupProbe": {**ask, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": ceil(part.boot_s) + 30},
        "readinessProbe": {**ask, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**ask, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
    }
