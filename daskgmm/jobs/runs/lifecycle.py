"""The life of a run: begin, resume or replace it, until it is complete or failed.

The words are those of `daskgmm.jobs.outputs.lifecycle`.
"""

import logging
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from daskgmm.data.storage.deadline import try_after_error
from daskgmm.data.storage.folder import Folder
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.fitting.stored.clusters import Merging
from daskgmm.fitting.stored.model_file import MODEL_FILE, to_bytes
from daskgmm.jobs.json_values import as_plain, digest
from daskgmm.jobs.locks import LOCK_FILE, Lock, locked
from daskgmm.jobs.runs import record
from daskgmm.jobs.runs.decision import Decision, ExistingRun, RunRequest, decide, leftovers
from daskgmm.jobs.runs.directory import (
    CHECKPOINT_FILE,
    LAYOUT,
    REPLACEMENT,
    Run,
    State,
    sha256,
    write_record,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """A run that is being made.

    Parameters
    ----------
    folder : Folder
        Folder of the checkpoint, whose name is `CHECKPOINT_FILE`.
    run_id : str
    seed : int
    check : callable
        Must be called before each write; raises OutputError if another run has taken the lock.
    """

    folder: Folder
    run_id: str
    seed: int
    check: Callable[[], None]


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Parameters
    ----------
    model : GaussianMixture
        Fitted mixture.
    facts : mapping
        Further entries of the run's record.
    merging : Merging or None
        Clusters of the model's components, if they were joined.
    """

    model: FittedMixture
    facts: Mapping[str, Any]
    merging: Merging | None = None


@dataclass(frozen=True)
class CompleteRun:
    """A complete run.

    Parameters
    ----------
    run : Run
    already : bool
        Whether it was complete before.
    """

    run: Run
    already: bool = False

    def plain(self) -> dict[str, Any]:
        """Its record, its path or URL, and whether it was complete before."""
        return {**self.run.record, "run": self.run.name, "already": self.already}


Work: TypeAlias = Callable[[Attempt], Result]


def make_run(request: RunRequest, work: Work) -> CompleteRun:
    """Begin, resume or replace a run; return it at once where it is complete already.

    Parameters
    ----------
    request : RunRequest
    work : callable
        Does the work of the run.

    Raises
    ------
    OutputError
        The existing run differs and may not be replaced, another run is writing to the
        directory, or the directory can't be written to.
    """
    existing = ExistingRun.at(request.folder)
    if existing.model is not None and decide(existing, request) is Decision.COMPLETE:
        return _already_complete(existing)
    with _entered(request.folder) as lock:
        replaced = _complete_replacement(request.folder, lock)
        existing = ExistingRun.at(request.folder)
        if replaced and existing.run is not None and not request.differences(existing.run):
            return CompleteRun(existing.run)
        match decide(existing, request):
            case Decision.COMPLETE:
                return _already_complete(existing)
            case Decision.REPLACE:
                return CompleteRun(_replace(request, lock, work))
            case Decision.RESUME:
                return CompleteRun(_make(request, existing, lock, work))
            case Decision.BEGIN:
                return CompleteRun(_make(request, None, lock, work))


def _already_complete(existing: ExistingRun) -> CompleteRun:
    assert existing.run is not None  # noqa: S101  it is complete
    return CompleteRun(existing.run, already=True)


@contextmanager
def _entered(folder: Folder) -> Iterator[Lock]:
    """Make a run's directory and hold its lock; remove a new directory that stays empty."""
    path = folder.local
    ours = path is not None and not path.exists()
    folder.make()
    try:
        with locked(folder) as lock:
            yield lock
    finally:
        if ours and path is not None:
            with suppress(OSError):
                path.rmdir()


def _replace(request: RunRequest, lock: Lock, work: Work) -> Run:
    """Make the new run inside the old one, which stays until the new one is complete."""
    inner = request.folder.inside(REPLACEMENT)
    inner.make()
    existing = ExistingRun.at(inner)
    decision = decide(existing, request)
    _make(request, existing if decision is Decision.RESUME else None, lock, work, inner)
    _complete_replacement(request.folder, lock)
    run = Run.at(request.folder)
    assert run is not None  # noqa: S101  it was just written
    return run


def _complete_replacement(folder: Folder, lock: Lock) -> bool:
    """Put a complete replacement in place of its run, if there is one."""
    inner = ExistingRun.at(folder.inside(REPLACEMENT))
    if inner.run is None or inner.model is None:
        return False
    lock.check()
    folder.write(MODEL_FILE, inner.model)
    lock.check()
    write_record(folder, inner.run.record)
    folder.remove(REPLACEMENT)
    return True


def _make(
    request: RunRequest,
    earlier: ExistingRun | None,
    lock: Lock,
    work: Work,
    folder: Folder | None = None,
) -> Run:
    """Begin a run in a folder, or resume an earlier attempt."""
    folder = folder or request.folder
    before = None if earlier is None else earlier.run
    if earlier is not None and before is not None:
        start = "from its checkpoint" if earlier.has_checkpoint else "from its beginning"
        logger.info("Resuming run %s %s.", before.record["run_id"], start)
    _clear(folder, keep=before is not None)
    clock = record.stopwatch()
    opening = _opening(request, before) | {"timings": {"started": clock()["started"]}}
    write_record(folder, opening)
    attempt = Attempt(folder, opening["run_id"], opening["seed"], lock.check)
    try:
        complete = _complete(opening, work(attempt), clock, attempt)
    except BaseException as error:
        _record_failure(folder, opening | {"timings": clock()}, error, lock)
        raise
    attempt.check()
    folder.remove(CHECKPOINT_FILE)
    return Run(folder, complete)


def _clear(folder: Folder, *, keep: bool) -> None:
    """Remove files of earlier runs, but keep the checkpoint of a resumed one."""
    names = frozenset(folder.names())
    unwanted = {MODEL_FILE, REPLACEMENT} if keep else {MODEL_FILE, REPLACEMENT, CHECKPOINT_FILE}
    for name in sorted((names & unwanted) | (leftovers(names) - {LOCK_FILE})):
        folder.remove(name)


def _opening(request: RunRequest, before: Run | None) -> dict[str, Any]:
    """The record of a run that has begun; a resumed run keeps its id and seed."""
    given = request.configuration.get("seed")
    earlier: Mapping[str, Any] = {} if before is None else before.record
    drawn = earlier.get("seed", secrets.randbits(32))
    configuration = {**request.configuration, "seed": drawn if given is None else given}
    return {
        "layout": LAYOUT,
        "run_id": earlier.get("run_id", uuid.uuid4().hex),
        "state": State.RUNNING,
        "attempts": earlier.get("attempts", 0) + 1,
        "command": list(request.command),
        "configuration": configuration,
        "configuration_sha256": digest(configuration),
        "seed": configuration["seed"],
        "resources": dict(request.resources),
        "inputs": dict(request.inputs),
        **record.circumstances(),
    }


def _complete(
    opening: Mapping[str, Any], result: Result, clock: record.Stopwatch, attempt: Attempt
) -> Mapping[str, Any]:
    """Write the model, then the record that marks the run as complete."""
    model = to_bytes(result.model, result.merging)
    attempt.check()
    attempt.folder.write(MODEL_FILE, model)
    ending = {
        "state": State.COMPLETE,
        "model_sha256": sha256(model),
        "peak_memory_bytes": record.peak_memory(),
        "timings": clock(),
    }
    complete: dict[str, Any] = as_plain({**opening, **result.facts, **ending})
    attempt.check()
    write_record(attempt.folder, complete)
    return complete


def _record_failure(
    folder: Folder, opening: Mapping[str, Any], error: BaseException, lock: Lock
) -> None:
    """Record why a run failed, if possible, and show the remedy on an interrupt."""

    def write() -> None:
        has_checkpoint = CHECKPOINT_FILE in folder.names()
        failure = record.FailureRecord.of(error, has_checkpoint=has_checkpoint)
        if not isinstance(error, Exception):
            error.add_note(failure.remedy)
        lock.check()
        write_record(folder, {**opening, "state": State.FAILED, "failure": asdict(failure)})

    try_after_error(error, write)
