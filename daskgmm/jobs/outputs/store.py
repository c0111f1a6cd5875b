"""Outputs in stores, where nothing can be renamed: complete when their last object says so."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import final

from daskgmm.data.places import Place
from daskgmm.jobs.folders import REPLACEMENT
from daskgmm.jobs.locks.store import StoreLock
from daskgmm.jobs.outputs.base import Delivery
from daskgmm.jobs.outputs.manifest import MANIFEST, SUCCESS, Manifest

_COPIES_AT_ONCE = 16


@final
class StoreDelivery(Delivery):
    """Makes an output where it is wanted, but one that replaces another in a folder of that.

    When it is complete, the store copies its objects: so long neither of the two is complete.
    """

    def require_possible(self) -> None:
        """Stores tell by what they answer to the first object."""

    def alone(self) -> AbstractContextManager[object]:
        """Hold an object that is kept fresh."""
        return StoreLock(self.target)

    @property
    def aside(self) -> Place:
        """A folder in the target that readers skip."""
        return self.target.inside(REPLACEMENT)

    def workshop(self, run_id: str, *, force: bool) -> Place:
        """The target, unless something complete there is to be replaced."""
        made = Manifest.at(self.aside)
        if made is not None and made.run_id == run_id and made.is_complete(self.aside):
            return self.aside
        there = Manifest.at(self.target)
        if there is None or not there.is_complete(self.target):
            return self.target
        return self.aside if force or there.run_id != run_id else self.target

    def clear(self, workshop: Place) -> None:
        """Remove what its manifest owns; the mark of completeness first, the manifest last."""
        manifest = Manifest.at(workshop)
        workshop.remove(SUCCESS)
        if manifest is not None:
            names = [name for name in workshop.names() if manifest.owns(name)]
            workshop.remove_all([name for name in names if name not in (MANIFEST, REPLACEMENT)])
        workshop.remove(MANIFEST)

    def deliver(self, workshop: Place, manifest: Manifest) -> None:
        """Copy what was made aside over what is there."""
        if workshop == self.target:
            return
        self.target.remove(SUCCESS)
        made = workshop.sizes().keys() - {MANIFEST, SUCCESS}
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            list(pool.map(partial(workshop.copy, target=self.target), sorted(made)))
        there = (name for name in self.target.sizes() if not name.startswith(("_", ".")))
        self.target.remove_all([name for name in there if name not in made])
        manifest.write(self.target)
        self.target.write(SUCCESS, b"")
        self.target.remove(REPLACEMENT)
