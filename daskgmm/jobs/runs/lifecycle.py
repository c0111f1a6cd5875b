"""The life of a run: begun, gone on with, complete or failed, and never half of either."""

import logging
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from daskgmm.data.storage.deadline import try_after_error
from daskgmm.data.storage.folder import Folder
from daskgmm.fitting.model_file import MODEL_FILE, to_bytes
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
        Where its checkpoint goes, under the name `CHECKPOINT_FILE`.
    run_id : str
    seed : int
    check : callable
        To be called before anything is written: raises OutputError where another run has taken
        its place.
    """

    folder: Folder
    run_id: str
    seed: int
    check: Callable[[], None]


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Parameters
    ----------
    model : GaussianMixture
        Fitted.
    facts : mapping
        What there is to add to its record.
    """

    model: Any
    facts: Mapping[str, Any]


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
        """Its record, where it is, and whether it was complete before."""
        return {**self.run.record, "run": self.run.name, "already": self.already}


Work: TypeAlias = Callable[[Attempt], Result]


def make_run(order: RunRequest, work: Work) -> CompleteRun:
    """Make a run, go on with it, or find it complete already.

    Parameters
    ----------
    order : RunRequest
    work : callable
        Does what the run is about.

    Raises
    ------
    OutputError
        What is in the directory is in the way, another run is writing it, or it can't be
        written.
    """
    found = ExistingRun.at(order.folder)
    if found.model is not None and decide(found, order) is Decision.NOTHING:
        return _nothing_to_do(found)
    with _entered(order.folder) as lock:
        replaced = _complete_replacement(order.folder, lock)
        found = ExistingRun.at(order.folder)
        if replaced and found.run is not None and not order.differences(found.run):
            return CompleteRun(found.run)
        match decide(found, order):
            case Decision.NOTHING:
                return _nothing_to_do(found)
            case Decision.REPLACE:
                return CompleteRun(_replace(order, lock, work))
            case Decision.GO_ON:
                return CompleteRun(_make(order, found, lock, work))
            case Decision.BEGIN:
                return CompleteRun(_make(order, None, lock, work))


def _nothing_to_do(found: ExistingRun) -> CompleteRun:
    assert found.run is not None  # noqa: S101  or there would be something to do
    return CompleteRun(found.run, already=True)


@contextmanager
def _entered(folder: Folder) -> Iterator[Lock]:
    """Make a run's directory and hold its lock; what stays empty goes again."""
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


def _replace(order: RunRequest, lock: Lock, work: Work) -> Run:
    """Make the new run inside of the old one, which stays until the new one is complete."""
    inner = order.folder.inside(REPLACEMENT)
    inner.make()
    found = ExistingRun.at(inner)
    decision = decide(found, order)
    _make(order, found if decision is Decision.GO_ON else None, lock, work, inner)
    _complete_replacement(order.folder, lock)
    run = Run.at(order.folder)
    assert run is not None  # noqa: S101  it was put there
    return run


def _complete_replacement(folder: Folder, lock: Lock) -> bool:
    """Put a complete replacement into its run's place, if there is one."""
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
    order: RunRequest,
    earlier: ExistingRun | None,
    lock: Lock,
    work: Work,
    folder: Folder | None = None,
) -> Run:
    """Make a run in a folder, or go on with an earlier attempt."""
    folder = folder or order.folder
    before = None if earlier is None else earlier.run
    if earlier is not None and before is not None:
        start = "from its checkpoint" if earlier.has_checkpoint else "from its beginning"
        logger.info("Going on with run %s %s.", before.record["run_id"], start)
    _clear(folder, keep=before is not None)
    clock = record.stopwatch()
    told = _opening(order, before) | {"timings": {"started": clock()["started"]}}
    write_record(folder, told)
    attempt = Attempt(folder, told["run_id"], told["seed"], lock.check)
    try:
        complete = _complete(told, work(attempt), clock, attempt)
    except BaseException as error:
        _record_failure(folder, told | {"timings": clock()}, error, lock)
        raise
    attempt.check()
    folder.remove(CHECKPOINT_FILE)
    return Run(folder, complete)


def _clear(folder: Folder, *, keep: bool) -> None:
    """Remove what earlier runs left; keep the checkpoint of one that goes on."""
    names = frozenset(folder.names())
    unwanted = {MODEL_FILE, REPLACEMENT} if keep else {MODEL_FILE, REPLACEMENT, CHECKPOINT_FILE}
    for name in sorted((names & unwanted) | (leftovers(names) - {LOCK_FILE})):
        folder.remove(name)


def _opening(order: RunRequest, before: Run | None) -> dict[str, Any]:
    """The record of a run that has begun; what goes on keeps its id and seed."""
    given = order.configuration.get("seed")
    earlier: Mapping[str, Any] = {} if before is None else before.record
    drawn = earlier.get("seed", secrets.randbits(32))
    configuration = {**order.configuration, "seed": drawn if given is None else given}
    return {
        "layout": LAYOUT,
        "run_id": earlier.get("run_id", uuid.uuid4().hex),
        "state": State.RUNNING,
        "attempts": earlier.get("attempts", 0) + 1,
        "command": list(order.command),
        "configuration": configuration,
        "configuration_sha256": digest(configuration),
        "seed": configuration["seed"],
        "resources": dict(order.resources),
        "inputs": dict(order.inputs),
        **record.circumstances(),
    }


def _complete(
    told: Mapping[str, Any], result: Result, clock: record.Stopwatch, attempt: Attempt
) -> Mapping[str, Any]:
    """Write the model, then the record that tells that all is there."""
    model = to_bytes(result.model)
    attempt.check()
    attempt.folder.write(MODEL_FILE, model)
    ending = {
        "state": State.COMPLETE,
        "model_sha256": sha256(model),
        "peak_memory_bytes": record.peak_memory(),
        "timings": clock(),
    }
    complete: dict[str, Any] = as_plain({**told, **result.facts, **ending})
    attempt.check()
    write_record(attempt.folder, complete)
    return complete


def _record_failure(
    folder: Folder, told: Mapping[str, Any], error: BaseException, lock: Lock
) -> None:
    """Record why a run failed, if that can still be done, and tell who interrupts it."""

    def write() -> None:
        has_checkpoint = CHECKPOINT_FILE in folder.names()
        failure = record.FailureRecord.of(error, has_checkpoint=has_checkpoint)
        if not isinstance(error, Exception):
            error.add_note(failure.remedy)
        lock.check()
        write_record(folder, {**told, "state": State.FAILED, "failure": asdict(failure)})

    try_after_error(error, write)
