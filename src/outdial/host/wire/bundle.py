"""The code of one version of a function on this machine's disk."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a worker imports. `entrypoint` is relative to `root`.

    `version` is 0 for a function served from a source tree instead of a deployment.
    """

    slug: str
    version: int
    root: Path
    entrypoint: str

    @property
    def index(self) -> Path:
        """The file that exposes `fetch`."""
        return self.root / self.entrypoint

    @property
    def shared(self) -> Path:
        """The directory that every function can import as `shared`; it lies beside the entrypoint's directory."""
        return self.index.parent.parent / "shared"
