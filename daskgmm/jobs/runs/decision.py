"""What is asked of a run directory, what is found there, and what follows."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DataError, OutputError
from daskgmm.fitting.model_file import MODEL_FILE
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
    """A run to be made.

    Parameters
    ----------
    folder : Folder
        Its directory.
    configuration : mapping
        All that its result depends on but the rows, as plain values. A ``seed`` of ``None``
        stands for that of an unfinished or complete run, else for a new one.
    inputs : mapping
        The rows' fingerprint.
    resources : mapping
        Where it runs, for the record.
    command : tuple of str
        What the user typed, for the record.
    resume : bool
        Go on with an unfinished run.
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
        """What it would do otherwise than a run, in words."""
        configuration = dict(self.configuration)
        if configuration.get("seed") is None:
            configuration["seed"] = run.record["configuration"].get("seed")
        return run.differences(configuration, self.inputs)


@dataclass(frozen=True)
class ExistingRun:
    """What is in a run directory.

    Parameters
    ----------
    folder : Folder
    run : Run or None
        ``None`` where there is none, or its record is damaged.
    model : bytes or None
        Of a complete run.
    damaged : str or None
        What is wrong with a record that can't be read.
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
            It is none of ours, so nothing may be written there, not even by force.
        """
        names = _ours(folder)
        run, damaged = None, None
        try:
            run = Run.at(folder) if names else None
        except NewerRunError:
            damaged = "the run of a later version of daskgmm"
        except DataError:
            damaged = f"a {RECORD_FILE} that makes no sense"
        model = None if run is None else run.model()
        return cls(folder, run, model, damaged, CHECKPOINT_FILE in names)


class Decision(Enum):
    """What is to be done."""

    NOTHING = auto()
    BEGIN = auto()
    GO_ON = auto()
    REPLACE = auto()


def decide(found: ExistingRun, order: RunRequest) -> Decision:
    """What an order comes to with what is found.

    Raises
    ------
    OutputError
        What is there is in the way.
    """
    run = found.run
    if run is None:
        if found.damaged is not None and not order.force:
            raise _in_the_way(found, found.damaged)
        return Decision.BEGIN
    differences = "; ".join(order.differences(run))
    if found.model is not None:
        if order.force:
            return Decision.REPLACE
        if differences:
            raise _in_the_way(found, f"a run that differs in {differences}")
        return Decision.NOTHING
    if run.state is State.COMPLETE:
        logger.warning("The model in %s is not the one of its record.", found.folder.name)
    if not differences:
        return Decision.GO_ON if order.resume else Decision.BEGIN
    if found.has_checkpoint and not order.force:
        raise _in_the_way(found, f"an unfinished run that differs in {differences}")
    return Decision.BEGIN


def _in_the_way(found: ExistingRun, what: str) -> OutputError:
    return OutputError(
        f"{found.folder.name} holds {what}.",
        "Choose another output, or replace the run with --force.",
    )


def _ours(folder: Folder) -> frozenset[str]:
    names = frozenset(folder.names())
    kept = names - leftovers(names)
    if not (kept <= {LOCK_FILE} or (RECORD_FILE in kept and kept <= _FILES)):
        raise OutputError(
            f"{folder.name} exists and is no run directory, or holds other files too, so it is "
            "not replaced.",
            "Choose another output, or remove it yourself.",
        )
    return kept - {LOCK_FILE}


def leftovers(names: frozenset[str]) -> frozenset[str]:
    """Files that killed processes were about to write, or to measure time with."""
    beginnings = (f"{LOCK_FILE}-", *(f".{name}." for name in _FILES))
    return frozenset(name for name in names if name.startswith(beginnings))
