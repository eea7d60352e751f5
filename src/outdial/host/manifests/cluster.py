"""All files of a cluster, from the same config.toml that a single host reads."""

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


@dataclass(frozen=True, slots=True)
class ClusterTarget:
    """Where it is to run: `target` decides what functions become, and `environment` is a label, for several of them."""

    target: ManifestTarget
    image: str
    namespace: str = "outdial"
    environment: str | None = None
    with_studio: bool = False


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file: its name without an ending, what its head says, and its objects in the order of applying."""

    name: str
    notes: tuple[str, ...]
    objects: tuple[Object, ...]


def manifests(functions: Mapping[str, FunctionConfig], cluster: ClusterTarget) -> list[ManifestFile]:
    """Return a file per part: the account, each enabled function, gateway, dialer and, where there is one, the studio
    with its jobs.

    Raises BadConfig for a function whose name or settings no cluster can have.
    """
    enabled = {slug: config for slug, config in sorted(functions.items()) if config.enabled}
    parts = {slug: function_component(slug, config) for slug, config in enabled.items()}
    others = [
        gateway_component(enabled),
        dialer_component(),
        *([studio_component(), jobs_component()] if cluster.with_studio else []),
    ]
    _refuse_namesakes([*parts.values(), *others])

    files = [ManifestFile("service-account", (), (_account(),))]
    files += [_file(part, _function(part, enabled[slug], cluster)) for slug, part in parts.items()]
    files += [_file(part, kubernetes.deployed(part, cluster.image, ACCOUNT)) for part in others]
    for file in files:
        for made in file.objects:
            _place(made, cluster)
    return files


def _function(part: ClusterComponent, config: FunctionConfig, cluster: ClusterTarget) -> list[Object]:
    if cluster.target == "knative":
        return [knative.served(part, config, cluster.image, ACCOUNT)]
    return kubernetes.deployed(part, cluster.image, ACCOUNT)


def _file(part: ClusterComponent, objects: list[Object]) -> ManifestFile:
    return ManifestFile(part.name, (*part.references.told(), *part.notes), tuple(objects))


def _account() -> Object:
    labels = {"app.kubernetes.io/name": "outdial"}
    metadata = {"name": ACCOUNT, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        # Nothing of Outdial asks the cluster's API.
        "automountServiceAccountToken": False,
    }


def _place(made: Object, cluster: ClusterTarget) -> None:
    metadata = made["metadata"]
    metadata["namespace"] = cluster.namespace
    if cluster.environment is not None:
        metadata["labels"] = {**metadata["labels"], "app.kubernetes.io/instance": cluster.environment}


def _refuse_namesakes(parts: list[ClusterComponent]) -> None:
    twice = [name for name, count in Counter(part.name for part in parts).items() if count > 1]
    if twice:
        raise BadConfig(f"two parts would be named {', '.join(twice)} in a cluster: rename a function")
