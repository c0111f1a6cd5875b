"""The life of an output: begin, resume or replace it, until it is complete.

The words are those of `daskgmm.jobs.runs.lifecycle`. An output has no record of its own while it
is made: its parts carry their run's id, so the files at the target show which run wrote them.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from daskgmm.data.sinks import WrittenParts, format_of, sink_for
from daskgmm.data.storage.deadline import try_after_error
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, DataError, OutputError
from daskgmm.jobs.json_values import as_plain, digest
from daskgmm.jobs.locks import LOCK_FILE
from daskgmm.jobs.outputs.committer import SUCCESS, Check, Committer
from daskgmm.jobs.outputs.local import LocalCommitter
from daskgmm.jobs.outputs.manifest import Manifest, earlier_at, list_differences
from daskgmm.jobs.outputs.store import StoreCommitter
from daskgmm.jobs.outputs.table import TableCommitter, require_fitting
from daskgmm.jobs.outputs.writer import OutputWriter

logger = logging.getLogger(__name__)

_COMMITTING = "delivered"
"""State of a run whose parts all exist and are being moved to the target."""


@dataclass(frozen=True)
class OutputRequest:
    """An output to make.

    Parameters
    ----------
    target : Folder
    configuration : mapping
        All that determines the output, as plain values that come back from JSON unchanged.
    columns : tuple of str
        Names of the columns, or arrays, that are written.
    facts : mapping
        Further entries of the manifest.
    force : bool
        Replace another output.
    drawn : tuple of str
        Names in `configuration` whose values were drawn, not given: a complete output that
        differs in them alone is not another one.
    """

    target: Folder
    configuration: Mapping[str, Any]
    columns: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    drawn: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """The run's id: the same for the same command on the same rows."""
        return digest(self.configuration)[:32]

    def manifest(self, interim: Mapping[str, Any]) -> Manifest:
        """The manifest of the output while it is made."""
        content = {
            "run_id": self.run_id,
            "state": "running",
            "format": format_of(self.target),
            "columns": list(self.columns),
            "asked": self.configuration,
            "found": interim,
            **self.facts,
        }
        return Manifest(as_plain(content))


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
        """Its manifest, its path or URL, and whether it was complete before."""
        return {**self.manifest.content, "output": self.name, "already": self.already}


Work: TypeAlias = Callable[[OutputWriter], WrittenParts]


def make_output(request: OutputRequest, work: Work) -> CompleteOutput:
    """Begin, resume or replace an output; return it at once where it is complete already.

    Parameters
    ----------
    request : OutputRequest
    work : callable
        Writes the parts that no attempt has written yet; returns all of them.

    Raises
    ------
    OutputError
        The target holds something else, another process is writing it, or it can't be written.
    """
    committer = _committer(request.target)
    committer.require_possible()
    complete = _complete(request)
    if complete is None:
        with committer.locked() as check:
            complete = _complete(request) or _make(request, committer, work, check)
    return complete


def earlier_seed(request: OutputRequest) -> int | None:
    """The seed that the same command drew before, for an output that is complete or not."""
    earlier = earlier_at(request.target)
    runs = _runs_in(_committer(request.target).unfinished)
    begun = [each.configuration for each in map(Manifest.at, runs) if each is not None]
    for each in begun if earlier is None else (earlier.record["asked"], *begun):
        if {**each, "seed": None} == {**request.configuration, "seed": None}:
            return int(each["seed"])
    return None


def _runs_in(unfinished: Folder) -> list[Folder]:
    """Folders of unfinished runs."""
    return [
        unfinished.inside(name) for name in unfinished.names() if not name.startswith(LOCK_FILE)
    ]


def _committer(target: Folder) -> Committer:
    base = StoreCommitter(target) if target.local is None else LocalCommitter(target)
    return TableCommitter(target, base) if sink_for(target).shared else base


def _complete(request: OutputRequest) -> CompleteOutput | None:
    """The output at the target, where it is the requested one and complete."""
    earlier = None if request.force else earlier_at(request.target, request.run_id)
    if earlier is None or earlier.parts is None or earlier.record["run_id"] != request.run_id:
        return None
    manifest = request.manifest(earlier.record["found"]).completed(earlier.parts)
    return CompleteOutput(request.target.name, manifest, already=True)


def _make(request: OutputRequest, committer: Committer, work: Work, check: Check) -> CompleteOutput:
    folder = committer.unfinished.inside(request.run_id)
    begun = Manifest.at(folder)
    # A run that was being committed passed this test before, and may have removed some files.
    if sink_for(request.target).shared:
        require_fitting(request.target, request.run_id, request.columns, request.configuration)
    elif begun is None or begun.content["state"] != _COMMITTING:
        _require_replaceable(request)
    for other in _runs_in(committer.unfinished):
        if begun is None or other.name != folder.name:
            committer.discard(other)
    committer.unfinished.make()
    folder.make()
    if begun is not None:
        logger.info("Resuming run %s.", request.run_id)
    manifest = request.manifest({} if begun is None else begun.interim)
    writer = OutputWriter(request.target, folder, manifest)
    writer.manifest.write(folder)
    try:
        made = work(writer)
    except BaseException as error:
        try_after_error(error, partial(_discard_if_useless, committer, folder, error))
        raise
    check()
    Manifest({**writer.manifest.content, "state": _COMMITTING}).write(folder)
    parts = committer.commit(made, check, force=request.force)
    committer.discard(folder)
    return CompleteOutput(request.target.name, writer.manifest.completed(parts))


def _discard_if_useless(committer: Committer, folder: Folder, error: BaseException) -> None:
    """Remove a run that can't succeed as it is, or that has no parts to resume from."""
    hopeless = isinstance(error, ConfigurationError | DataError)
    if hopeless or not _holds_rows(folder):
        committer.discard(folder)


def _holds_rows(folder: Folder) -> bool:
    """Whether any attempt left parts."""
    names = (name.rpartition("/")[2] for name in folder.sizes())
    return any(not name.startswith(("_", ".")) and not name.endswith(".json") for name in names)


def _require_replaceable(request: OutputRequest) -> None:
    """Raise OutputError if the target holds another output, or files of other programs.

    The latter are never replaced, not even with ``force``.
    """
    target, names = request.target.name, request.target.names()
    earlier = earlier_at(request.target) if names else None
    ours = frozenset() if earlier is None else earlier.names | {SUCCESS}
    strange = [name for name in names if name not in ours and not name.startswith(LOCK_FILE)]
    if strange:
        raise OutputError(
            f"{target} exists and holds files that daskgmm did not write, such as {strange[0]}, "
            "so it is not replaced.",
            "Choose another output, or remove this one yourself.",
        )
    if earlier is None or earlier.record["run_id"] == request.run_id or request.force:
        return
    before = earlier.record["asked"]
    now = {**request.configuration, **{name: before.get(name) for name in request.drawn}}
    state = "rows" if SUCCESS in names else "an unfinished output"
    raise OutputError(
        f"{target} holds {state} of another run, which differs in {list_differences(before, now)}.",
        "Choose another output, or replace it with --force.",
    )
