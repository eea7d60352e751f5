"""Resolves a manifest as a cluster would, as far as tests need it."""

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]


def environment_in_cluster(
    container: Object, secrets: Mapping[str, Mapping[str, str]], settings: Mapping[str, str]
) -> dict[str, str]:
    """Return a container's environment, given the cluster's Secrets by name and the ConfigMap's settings."""
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= settings if "configMapRef" in source else secrets.get(source["secretRef"]["name"], {})
    for variable in container["env"]:
        reference = variable["valueFrom"]["secretKeyRef"]
        stored = secrets[reference["name"]]
        if reference["key"] in stored:
            found[variable["name"]] = stored[reference["key"]]
        else:
            assert reference.get("optional"), f"the pod would wait for {reference['key']}"
    return found
