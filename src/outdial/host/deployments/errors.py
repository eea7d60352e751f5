"""Why a deployment is refused.

DeploymentError
├── BadUpload
├── NothingToServe
├── NothingToGoBackTo
└── VersionsRefused
"""

from collections.abc import Mapping

from outdial.host.wire.errors import HostError


class DeploymentError(HostError):
    """What was asked of a deployment cannot be done; nothing of what is served has changed."""


class InvalidUpload(DeploymentError):
    """What was sent is no function that could be kept."""


class FunctionNotFound(DeploymentError):
    """There is no such function, or no such version of it."""


class NoEarlierVersion(DeploymentError):
    """No version of the function served before the one that is active."""


class VersionsRefused(DeploymentError):
    """Versions did not start, so that the ones before them go on; the text has the traceback."""

    def __init__(self, versions: Mapping[str, int], reason: str) -> None:
        named = ", ".join(f"{slug} {number}" for slug, number in versions.items())
        super().__init__(f"Refused, and nothing of what is served has changed: {named}\n{reason}")
        self.versions, self.reason = dict(versions), reason
