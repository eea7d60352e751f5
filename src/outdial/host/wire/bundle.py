"""One version of a function's code on this machine's disk."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a worker imports: `entrypoint` is relative to `root`, and `shared` lies beside the entrypoint's directory.

    `version` is 0 for a function that is served from a source tree and was never deployed.
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
        """The directory that all functions may import from as `shared`."""
        return self.index.parent.parent / "shared"
