"""The life of an output."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

from daskgmm.data.sinks import WrittenParts, format_of
from daskgmm.data.storage.deadline import try_after_error
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, DataError, OutputError
from daskgmm.jobs.json_values import as_plain, digest
from daskgmm.jobs.locks import LOCK_FILE
from daskgmm.jobs.outputs.delivery import SUCCESS, Check, Committer
from daskgmm.jobs.outputs.local import LocalCommitter
from daskgmm.jobs.outputs.manifest import Manifest, earlier_at, words_for_differences
from daskgmm.jobs.outputs.store import StoreCommitter

logger = logging.getLogger(__name__)

_DELIVERED = "delivered"
"""State of a run whose parts are all there, and are being brought to the target."""


@dataclass(frozen=True)
class OutputRequest:
    """An output to be made.

    Parameters
    ----------
    target : Folder
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

    target: Folder
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
class OutputWriter:
    """An attempt to make an output.

    Parameters
    ----------
    folder : Folder
        The run's own, for all its attempts.
    manifest : Manifest
    """

    folder: Folder
    manifest: Manifest

    def __post_init__(self) -> None:
        self.earlier = tuple(map(self.folder.inside, attempts_in(self.folder)))
        """Where tasks of attempts before this one wrote parts, and some perhaps still do."""
        self.place = self.folder.inside(f"attempt-{uuid4().hex}")
        """Where tasks of this attempt write parts, and none of any other one."""

    @property
    def found(self) -> Mapping[str, Any]:
        """What was found out on the way, perhaps by a process that was then killed."""
        return self.manifest.found

    def note(self, **notes: Any) -> None:
        """Remember, so that nobody need find it out again."""
        self.manifest = self.manifest.with_found(notes)
        self.manifest.write(self.folder)


def attempts_in(folder: Folder) -> list[str]:
    """Names of the folders in a run's that hold what its attempts wrote."""
    return [name for name in folder.names() if name.startswith("attempt-")]


@dataclass(frozen=True)
class CompleteOutput:
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


Work: TypeAlias = Callable[[OutputWriter], WrittenParts]


def make_output(order: OutputRequest, work: Work) -> CompleteOutput:
    """Make an output, go on with it, or find it complete already.

    Parameters
    ----------
    order : OutputRequest
    work : callable
        Writes parts that no attempt has written yet; returns all of them.

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
        with delivery.alone() as check:
            found = _complete(order) or _made(order, delivery, work, check)
    return found


def earlier_seed(order: OutputRequest) -> int | None:
    """The seed of an output, complete or not, that the same command has begun without one."""
    there = earlier_at(order.target)
    runs = _runs_in(_delivery(order.target).aside)
    asked = [manifest.asked for manifest in map(Manifest.at, runs) if manifest is not None]
    for each in asked if there is None else (there.record["asked"], *asked):
        if {**each, "seed": None} == {**order.asked, "seed": None}:
            return int(each["seed"])
    return None


def _runs_in(aside: Folder) -> list[Folder]:
    """Folders of runs that are not complete."""
    return [aside.inside(name) for name in aside.names() if not name.startswith(LOCK_FILE)]


def _delivery(target: Folder) -> Committer:
    return StoreCommitter(target) if target.local is None else LocalCommitter(target)


def _complete(order: OutputRequest) -> CompleteOutput | None:
    """What there is to do nothing about."""
    there = None if order.force else earlier_at(order.target)
    if there is None or there.parts is None or there.record["run_id"] != order.run_id:
        return None
    manifest = order.manifest(there.record["found"]).completed(there.parts)
    return CompleteOutput(order.target.name, manifest, already=True)


def _made(order: OutputRequest, delivery: Committer, work: Work, check: Check) -> CompleteOutput:
    folder = delivery.aside.inside(order.run_id)
    begun = Manifest.at(folder)
    # One that was about to replace what is there was allowed to, and may have removed some.
    if begun is None or begun.content["state"] != _DELIVERED:
        _require_replaceable(order)
    for other in _runs_in(delivery.aside):
        if begun is None or other.name != folder.name:
            delivery.discard(other)
    delivery.aside.make()
    folder.make()
    if begun is not None:
        logger.info("Going on with run %s.", order.run_id)
    desk = OutputWriter(folder, order.manifest({} if begun is None else begun.found))
    desk.manifest.write(folder)
    try:
        made = work(desk)
    except BaseException as error:
        try_after_error(error, partial(_tidy, delivery, folder, error))
        raise
    check()
    Manifest({**desk.manifest.content, "state": _DELIVERED}).write(folder)
    parts = delivery.deliver(made, check)
    delivery.discard(folder)
    return CompleteOutput(order.target.name, desk.manifest.completed(parts))


def _tidy(delivery: Committer, folder: Folder, error: BaseException) -> None:
    """Remove what nobody will go on with."""
    hopeless = isinstance(error, ConfigurationError | DataError)
    if hopeless or not _holds_rows(folder):
        delivery.discard(folder)


def _holds_rows(folder: Folder) -> bool:
    """Whether any attempt left parts."""
    names = (name.rpartition("/")[2] for name in folder.sizes())
    return any(not name.startswith(("_", ".")) and not name.endswith(".json") for name in names)


def _require_replaceable(order: OutputRequest) -> None:
    """Raise OutputError where something is in the way.

    What is not ours is never replaced, not even by force.
    """
    name = order.target.name
    names = order.target.names()
    there = earlier_at(order.target) if names else None
    ours = frozenset() if there is None else there.names | {SUCCESS}
    strange = [each for each in names if each not in ours and not each.startswith(LOCK_FILE)]
    if strange:
        raise OutputError(
            f"{name} exists and holds something else than rows that daskgmm wrote, such as "
            f"{strange[0]}, so it is not replaced.",
            "Choose another output, or remove it yourself.",
        )
    if there is None or there.record["run_id"] == order.run_id or order.force:
        return
    before = there.record["asked"]
    asked = {**order.asked, **{name: before.get(name) for name in order.drawn}}
    state = "rows" if SUCCESS in names else "an unfinished output"
    raise OutputError(
        f"{name} holds {state} of another run, which differs in "
        f"{words_for_differences(before, asked)}.",
        "Choose another output, or replace it with --force.",
    )
