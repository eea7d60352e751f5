"""All manifest files of a cluster, from the config.toml that a single host reads."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from outdial.host.manifests import knative, kubernetes
from outdial.host.manifests.components import (
    ClusterComponent,
    dialer_component,
    function_component,
    gateway_component,
    jobs_component,
    studio_component,
)
from outdial.host.manifests.pod import Object
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadConfig

ManifestTarget = Literal["knative", "kubernetes"]
ACCOUNT = "outdial"
_SERVICE_ACCOUNT: Object = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": ACCOUNT, "labels": {"app.kubernetes.io/name": "outdial"}},
    # No component calls the cluster's API.
    "automountServiceAccountToken": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTarget:
    """Where to run. `target` selects Kubernetes or Knative for functions; `environment` labels every object."""

    target: ManifestTarget
    image: str
    namespace: str = "outdial"
    environment: str | None = None
    with_studio: bool = False


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file: its name without extension, the comment lines at its top, and its objects in order."""

    name: str
    notes: tuple[str, ...]
    objects: tuple[Object, ...]


def manifests(functions: Mapping[str, FunctionConfig], cluster: ClusterTarget) -> list[ManifestFile]:
    """Return one file each for the service account, every enabled function, gateway and dialer, and with a studio also
    for the studio and the job workers.

    Raises BadConfig for a function whose name or settings do not work in a cluster.
    """
    enabled = {slug: config for slug, config in sorted(functions.items()) if config.enabled}
    components = {slug: function_component(slug, config) for slug, config in enabled.items()}
    others = [
        gateway_component(enabled),
        dialer_component(),
        *([studio_component(), jobs_component()] if cluster.with_studio else []),
    ]
    names = Counter(component.name for component in [*components.values(), *others])
    if duplicates := [name for name, count in names.items() if count > 1]:
        raise BadConfig(f"two components would be named {', '.join(duplicates)} in a cluster: rename a function")

    files = [ManifestFile("service-account", (), (dict(_SERVICE_ACCOUNT),))]
    for slug, component in components.items():
        if cluster.target == "knative":
            files.append(_file(component, [knative.served(component, enabled[slug], cluster.image, ACCOUNT)]))
        else:
            files.append(_file(component, kubernetes.deployed(component, cluster.image, ACCOUNT)))
    files += [_file(component, kubernetes.deployed(component, cluster.image, ACCOUNT)) for component in others]
    for file in files:
        for made in file.objects:
            made["metadata"] = {**made["metadata"], "namespace": cluster.namespace}
            if cluster.environment is not None:
                instance = {"app.kubernetes.io/instance": cluster.environment}
                made["metadata"]["labels"] = {**made["metadata"]["labels"], **instance}
    return files


def _file(component: ClusterComponent, objects: list[Object]) -> ManifestFile:
    return ManifestFile(component.name, (*component.references.describe(), *component.notes), tuple(objects))
