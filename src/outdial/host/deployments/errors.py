"""Errors of deployments.

DeploymentError
├── InvalidUpload
├── FunctionNotFound
├── NoEarlierVersion
└── VersionsRefused
"""

from collections.abc import Mapping

from outdial.host.wire.errors import HostError


class DeploymentError(HostError):
    """The deployment failed. The live versions stay in place."""


class InvalidUpload(DeploymentError):
    """The upload is not a valid function."""


class FunctionNotFound(DeploymentError):
    """The function or the version does not exist."""


class NoEarlierVersion(DeploymentError):
    """No version of the function was active before the current one."""


class VersionsRefused(DeploymentError):
    """Versions failed to start, so the earlier ones stay active. The message includes the traceback."""

    def __init__(self, versions: Mapping[str, int], reason: str) -> None:
        named = ", ".join(f"{slug} {number}" for slug, number in versions.items())
        super().__init__(f"Rejected; the live versions stay in place: {named}\n{reason}")
        self.versions = dict(versions)
        self.reason = reason
