"""Which functions of this host are down."""

from collections.abc import Mapping

from outdial.host.deployments.catalogue import FunctionCatalogue
from outdial.host.log.sink import EventKind, NullSink


class FunctionHealth(NullSink):
    """A sink that remembers which versions failed to boot last."""

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}

    def event(self, slug: str, version: int, execution_id: str, kind: EventKind, fields: Mapping[str, object]) -> None:
        """Note the result of a boot."""
        if kind == "boot_failed":
            self._failed[slug] = version
        elif kind == "boot" and self._failed.get(slug) == version:
            del self._failed[slug]

    def down(self, catalogue: FunctionCatalogue) -> list[str]:
        """Return the functions that cannot respond: no version is in service, or the one in service fails to boot."""
        failing = []
        for served in catalogue:
            if self._failed.get(served.slug) == served.version:
                stats = served.pool.stats()
                # A new version that fails its probe does not end the workers of the version in service.
                failing += [served.slug] if stats.idle + stats.busy == 0 else []
        return sorted([*failing, *filter(catalogue.is_down, catalogue.unserved)])
