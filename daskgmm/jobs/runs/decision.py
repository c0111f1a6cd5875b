"""Decide what a request does with the run in its directory: begin, resume, replace or nothing."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DataError, OutputError
from daskgmm.fitting.stored.model_file import MODEL_FILE
from daskgmm.jobs.locks import LOCK_FILE
from daskgmm.jobs.runs.directory import (
    CHECKPOINT_FILE,
    RECORD_FILE,
    REPLACEMENT,
    NewerRunError,
    Run,
    State,
)

_FILES = frozenset({RECORD_FILE, MODEL_FILE, CHECKPOINT_FILE, LOCK_FILE, REPLACEMENT})

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunRequest:
    """A run to make.

    Parameters
    ----------
    folder : Folder
        Run directory.
    configuration : mapping
        All that the result depends on except the rows, as plain values. A ``seed`` of ``None``
        stands for the seed of the existing run, or for a new one.
    inputs : mapping
        Fingerprint of the rows.
    resources : mapping
        Resources of the run, for the record.
    command : tuple of str
        Command that the user typed, for the record.
    resume : bool
        Resume an unfinished run.
    force : bool
        Replace a run that differs.
    """

    folder: Folder
    configuration: Mapping[str, Any]
    inputs: Mapping[str, Any]
    resources: Mapping[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    resume: bool = True
    force: bool = False

    def differences(self, run: Run) -> list[str]:
        """Differences of the request from a run, as text."""
        configuration = dict(self.configuration)
        if configuration.get("seed") is None:
            configuration["seed"] = run.record["configuration"].get("seed")
        return run.differences(configuration, self.inputs)


@dataclass(frozen=True)
class ExistingRun:
    """The run in a directory, with its model and checkpoint.

    Parameters
    ----------
    folder : Folder
    run : Run or None
        ``None`` where there is none, or its record is damaged.
    model : bytes or None
        Content of the model file of a complete run.
    damaged : str or None
        Description of a record that can't be read.
    has_checkpoint : bool
    """

    folder: Folder
    run: Run | None
    model: bytes | None
    damaged: str | None
    has_checkpoint: bool

    @classmethod
    def at(cls, folder: Folder) -> Self:
        """Look into a folder.

        Raises
        ------
        OutputError
            The folder is not a run directory, so nothing may be written there, even with ``force``.
        """
        names = own_files(folder)
        run, damaged = None, None
        try:
            run = Run.at(folder) if names else None
        except NewerRunError:
            damaged = "the run of a later version of daskgmm"
        except DataError:
            damaged = f"a damaged {RECORD_FILE}"
        model = None if run is None else run.model()
        return cls(folder, run, model, damaged, CHECKPOINT_FILE in names)


class Decision(Enum):
    """Action of a request on its run directory."""

    COMPLETE = auto()
    BEGIN = auto()
    RESUME = auto()
    REPLACE = auto()


def decide(existing: ExistingRun, request: RunRequest) -> Decision:
    """Compare a request with the run in its directory.

    Raises
    ------
    OutputError
        The existing run differs from the request and may not be replaced.
    """
    run = existing.run
    if run is None:
        if existing.damaged is not None and not request.force:
            raise _in_the_way(existing, existing.damaged)
        return Decision.BEGIN
    differences = "; ".join(request.differences(run))
    if existing.model is not None:
        if request.force:
            return Decision.REPLACE
        if differences:
            raise _in_the_way(existing, f"a run that differs in {differences}")
        return Decision.COMPLETE
    if run.state is State.COMPLETE:
        logger.warning(
            "The model in %s is missing, or is not the file that the run wrote.",
            existing.folder.name,
        )
    if not differences:
        return Decision.RESUME if request.resume else Decision.BEGIN
    if existing.has_checkpoint and not request.force:
        raise _in_the_way(existing, f"an unfinished run that differs in {differences}")
    return Decision.BEGIN


def _in_the_way(existing: ExistingRun, what: str) -> OutputError:
    return OutputError(
        f"{existing.folder.name} holds {what}.",
        "Choose another output, or replace the run with --force.",
    )


def own_files(folder: Folder) -> frozenset[str]:
    """Names of a run's files in its directory, without the lock; none if there is no run.

    Raises
    ------
    OutputError
        The directory holds other files as well, or only those.
    """
    names = frozenset(folder.names())
    kept = names - leftovers(names)
    if not (kept <= {LOCK_FILE} or (RECORD_FILE in kept and kept <= _FILES)):
        raise OutputError(
            f"{folder.name} exists and is not a run directory, or holds other files as well, so "
            "it is not replaced.",
            "Choose another output, or remove this one yourself.",
        )
    return kept - {LOCK_FILE}


def leftovers(names: frozenset[str]) -> frozenset[str]:
    """Files that killed processes were about to write, or used to measure time."""
    beginnings = (f"{LOCK_FILE}-", *(f".{name}." for name in _FILES))
    return frozenset(name for name in names if name.startswith(beginnings))
