"""The covariance types.

A new one is a file here, a line in the registry and a name in `CovarianceType`.

Their names can be had without loading numpy, as ``--help`` does: a type is imported when it is
first looked up.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, final

from daskgmm.errors import ConfigurationError

if TYPE_CHECKING:
    from daskgmm.model.covariance.base import Covariance


class Entry(NamedTuple):
    """A line of the registry: module, class and summary of a covariance type.

    Parameters
    ----------
    module, class_name : str
        Where the type is.
    summary : str
        What it says of the components' covariances, in few words.
    """

    module: str
    class_name: str
    summary: str


CovarianceType: TypeAlias = Literal["full", "tied", "diag", "spherical"]
"""Names of the types, for type checkers; the registry has the same."""

REGISTRY: dict[str, Entry] = {
    "full": Entry("daskgmm.model.covariance.full", "Full", "a matrix each"),
    "tied": Entry("daskgmm.model.covariance.tied", "Tied", "one matrix for all"),
    "diag": Entry("daskgmm.model.covariance.diag", "Diag", "a diagonal matrix each"),
    "spherical": Entry("daskgmm.model.covariance.spherical", "Spherical", "one variance each"),
}


@final
class _Types(Mapping[str, "Covariance"]):
    """Covariance types by name: one instance of each, imported when first used."""

    def __init__(self) -> None:
        self._loaded: dict[Entry, Covariance] = {}

    def __getitem__(self, name: str) -> "Covariance":
        entry = REGISTRY[name]
        if entry not in self._loaded:
            kind: type[Covariance] = getattr(import_module(entry.module), entry.class_name)
            self._loaded.setdefault(entry, kind())
        return self._loaded[entry]

    def __contains__(self, name: object) -> bool:
        return name in REGISTRY

    def __iter__(self) -> Iterator[str]:
        return iter(REGISTRY)

    def __len__(self) -> int:
        return len(REGISTRY)


COVARIANCES: Mapping[str, "Covariance"] = _Types()


def covariance_named(name: str) -> "Covariance":
    """Look a covariance type up by the name that users give it."""
    if not isinstance(name, str) or name not in COVARIANCES:
        known = ", ".join(COVARIANCES)
        raise ConfigurationError(f"covariance_type={name!r} is not known.", f"Use one of: {known}.")
    return COVARIANCES[name]
