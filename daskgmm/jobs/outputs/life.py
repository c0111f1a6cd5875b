"""The life of an output."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from daskgmm.data.haste import last_words
from daskgmm.data.places import Place
from daskgmm.data.sinks import Written, format_of
from daskgmm.errors import ConfigurationError, DataError, OutputError
from daskgmm.jobs.locks import LOCK_FILE
from daskgmm.jobs.outputs.base import Delivery
from daskgmm.jobs.outputs.local import LocalDelivery
from daskgmm.jobs.outputs.manifest import SUCCESS, Manifest, tally
from daskgmm.jobs.outputs.store import StoreDelivery
from daskgmm.jobs.plain import as_plain, digest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """An output to be made.

    Parameters
    ----------
    target : Place
    asked : mapping
        All that determines it, as plain values: what comes back from JSON.
    columns : tuple of str
        Of what is written: names of columns, or of arrays.
    facts : mapping
        What else its manifest tells.
    force : bool
        Replace another output.
    drawn : tuple of str
        What of `asked` nobody asked for: it tells no difference from another output.
    """

    target: Place
    asked: Mapping[str, Any]
    columns: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    drawn: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """The same for the same command on the same rows."""
        return digest(self.asked)[:32]

    def manifest(self, found: Mapping[str, Any]) -> Manifest:
        """Of an output that has just begun, or goes on."""
        content = {
            "run_id": self.run_id,
            "state": "running",
            "format": format_of(self.target.name),
            "columns": list(self.columns),
            "asked": self.asked,
            "found": found,
            **self.facts,
        }
        return Manifest(as_plain(content))


@dataclass
class Desk:
    """Where an output is being made.

    Parameters
    ----------
    folder : Place
    manifest : Manifest
    """

    folder: Place
    manifest: Manifest

    @property
    def found(self) -> Mapping[str, Any]:
        """What was found out on the way, perhaps by a process that was then killed."""
        found: Mapping[str, Any] = self.manifest.content["found"]
        return found

    def note(self, **notes: Any) -> None:
        """Remember, so that nobody need find it out again."""
        self.manifest = Manifest({**self.manifest.content, "found": {**self.found, **notes}})
        self.manifest.write(self.folder)


@dataclass(frozen=True)
class Outcome:
    """A complete output.

    Parameters
    ----------
    name : str
        Path or URL.
    manifest : Manifest
    already : bool
        Whether it was complete before.
    """

    name: str
    manifest: Manifest
    already: bool = False

    def plain(self) -> dict[str, Any]:
        """Its manifest, where it is, and whether it was complete before."""
        return {**self.manifest.content, "output": self.name, "already": self.already}


Work: TypeAlias = Callable[[Desk], Sequence[Written]]


def carry_out(order: Order, work: Work) -> Outcome:
    """Make an output, go on with it, or find it complete already.

    Parameters
    ----------
    order : Order
    work : callable
        Writes what is not there yet; returns all parts.

    Raises
    ------
    OutputError
        What is at the target is in the way, another process is writing it, or it can't be
        written.
    """
    delivery = _delivery(order.target)
    delivery.require_possible()
    found = _complete(order)
    if found is None:
        with delivery.alone():
            found = _complete(order) or _made(order, delivery, work)
    return found


def earlier_seed(order: Order) -> int | None:
    """The seed of an output, complete or not, that the same command has begun without one."""
    for folder in (order.target, _delivery(order.target).aside):
        found = Manifest.at(folder)
        if found is not None and {**found.asked, "seed": None} == {**order.asked, "seed": None}:
            return int(found.asked["seed"])
    return None


def _delivery(target: Place) -> Delivery:
    return StoreDelivery(target) if target.local is None else LocalDelivery(target)


def _complete(order: Order) -> Outcome | None:
    """What there is to do nothing about."""
    found = None if order.force else Manifest.at(order.target)
    if found is None or found.run_id != order.run_id:
        return None
    if found.is_complete(order.target):
        return Outcome(order.target.name, found, already=True)
    return None


def _made(order: Order, delivery: Delivery, work: Work) -> Outcome:
    workshop = delivery.workshop(order.run_id, force=order.force)
    manifest = Manifest.at(workshop)
    if manifest is None or manifest.run_id != order.run_id or not manifest.is_complete(workshop):
        _require_replaceable(order)
        manifest = _make(order, delivery, workshop, work)
    delivery.deliver(workshop, manifest)
    return Outcome(order.target.name, manifest)


def _make(order: Order, delivery: Delivery, workshop: Place, work: Work) -> Manifest:
    begun = Manifest.at(workshop)
    found: Mapping[str, Any] = {}
    if begun is not None and begun.run_id == order.run_id:
        logger.info("Going on with run %s.", order.run_id)
        found = begun.content.get("found", {})
    else:
        delivery.clear(workshop)
    workshop.make()
    workshop.remove(SUCCESS)
    desk = Desk(workshop, order.manifest(found))
    desk.manifest.write(workshop)
    try:
        parts = work(desk)
    except BaseException as error:
        last_words(error, partial(_tidy, delivery, workshop, error))
        raise
    manifest = desk.manifest.completed(workshop, parts)
    manifest.write(workshop)
    workshop.write(SUCCESS, b"")
    return manifest


def _tidy(delivery: Delivery, workshop: Place, error: BaseException) -> None:
    """Remove what nobody will go on with."""
    hopeless = isinstance(error, ConfigurationError | DataError)
    if hopeless or not tally(workshop)["number"]:
        delivery.clear(workshop)


def _require_replaceable(order: Order) -> None:
    """Raise OutputError where something is in the way.

    What is not ours is never replaced, not even by force.
    """
    name = order.target.name
    there = order.target.names()
    manifest = Manifest.at(order.target)
    ours = (
        each for each in there if each.startswith(LOCK_FILE) or (manifest and manifest.owns(each))
    )
    strange = sorted(set(there) - set(ours))
    if strange:
        raise OutputError(
            f"{name} exists and holds something else than rows that daskgmm wrote, such as "
            f"{strange[0]}, so it is not replaced.",
            "Choose another output, or remove it yourself.",
        )
    if manifest is None or manifest.run_id == order.run_id or order.force:
        return
    asked = {**order.asked, **{name: manifest.asked.get(name) for name in order.drawn}}
    state = "rows" if manifest.is_complete(order.target) else "an unfinished output"
    raise OutputError(
        f"{name} holds {state} of another run, which differs in {manifest.differences(asked)}.",
        "Choose another output, or replace it with --force.",
    )
