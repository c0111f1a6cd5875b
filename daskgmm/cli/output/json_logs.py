"""JSON logs: a line for each message or event of a job, and nothing else on standard error."""

import json
import logging
import math
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from daskgmm.cli.options.secrets import masked
from daskgmm.cli.output.lines import PATIENCE, Repeater, pass_line, start_line
from daskgmm.cli.output.streams import drop_unwritable_messages
from daskgmm.monitoring.phrases import search_line
from daskgmm.monitoring.text import capitalised

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Start
    from daskgmm.passes.engine.progress import PassProgress
    from daskgmm.training.states import FitState


FIELDS = ("run_id", "event", "iteration", "lower_bound", "change", "rows", "seconds")
"""Fields of every line; null for events that have no such value."""

_MORE = "fields"
"""Attribute of a log record that holds the further fields of an event."""


class JsonLines(logging.Handler):
    """Writes log records as JSON, each with the run id once it is known."""

    def __init__(self) -> None:
        super().__init__()
        self._run_id: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        more = getattr(record, _MORE, {})
        self._run_id = more.get("run_id") or self._run_id
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            **dict.fromkeys(FIELDS),
            "event": "warning" if record.levelno == logging.WARNING else "log",
            "message": _text(record),
            **more,
            "run_id": self._run_id,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        sys.stderr.write(f"{json.dumps(_shown(line), allow_nan=False)}\n")


@cache
def handler() -> JsonLines:
    """The single handler of this process."""
    return JsonLines()


def handler_of_process() -> JsonLines:
    """The handler of a process that Dask starts, with all other output captured."""
    drop_unwritable_messages()
    catch_all()
    return handler()


def event(name: str, **more: Any) -> dict[str, Any]:
    """The ``extra`` of a call of a logger that makes it an event with these fields."""
    return {_MORE: {"event": name, **more}}


def catch_all() -> None:
    """Log warnings and errors that libraries and the interpreter write to standard error."""
    root = logging.getLogger()
    root.handlers = [handler()]
    logging.captureWarnings(capture=True)
    threading.excepthook = partial(_log_failure, logging.WARNING)
    sys.unraisablehook = log_unraisable


def for_processes(levels: Mapping[str, str]) -> dict[str, Any]:
    """The same configuration for the processes that Dask starts, as `logging.config` takes it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"json": {"()": f"{__name__}.handler_of_process"}},
        "root": {"handlers": ["json"], "level": "WARNING"},
        "loggers": {name: {"level": level} for name, level in levels.items()},
    }


def log_unraisable(failure: Any) -> None:
    """Log what a destructor raised, for developers: most come as the process ends."""
    _log_failure(logging.DEBUG, failure)


def _log_failure(level: int, failure: Any) -> None:
    logger = logging.getLogger("daskgmm")
    info = (failure.exc_type, failure.exc_value, failure.exc_traceback)
    traceback_info = info if logger.isEnabledFor(logging.DEBUG) else None
    text = f"{failure.exc_type.__name__}: {failure.exc_value}"
    logger.log(level, "Failed beside the job: %s", text, exc_info=traceback_info)


def _text(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.name == "py.warnings":  # "file:line: kind: text", then the line of code
        return text.splitlines()[0].partition(": ")[2]
    return text


def _shown(value: Any) -> Any:
    """Values with secrets masked, and with None for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: _shown(each) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return masked(value) if isinstance(value, str) else value


logger = logging.getLogger(__name__)


_OF_THE_CLUSTER = ("event", "run_id", "time", "client")
"""Fields of a cluster's events; a line has its own."""


class JsonEvents:
    """Logs the start of a job, each pass, and the end.

    Parameters
    ----------
    job : str
        First word of the events of start and end.
    verb : str
        The job in a word, such as "Fitting", for the messages.
    """

    def __init__(self, job: str, verb: str) -> None:
        self._job = job
        self._verb = verb
        self._began: float | None = None
        self._last: dict[str, Any] = {}
        self._outcome: dict[str, Any] = {}
        self._search: Repeater | None = None

    def wait(self, what: str) -> None:
        """Do nothing: waiting is not an event."""

    def start(self, start: "Start") -> None:
        """Log the start of the job."""
        self._began = time.monotonic()
        self._last = {"rows": start.rows}
        text = start_line(self._verb, start)
        logger.info(text, extra=event(f"{self._job}-start", **asdict(start)))

    def tell(self, state: "FitState") -> None:
        """Log a pass of a fit."""
        best = state.best
        self._last = {
            "iteration": state.iteration,
            "lower_bound": best.lower_bound,
            "change": best.change,
            "rows": state.rows,
        }
        self._outcome = {"stopped": best.stopped and best.stopped.name.lower()}
        fields = event("pass", **self._last, seconds=state.seconds)
        logger.info("Pass %d: %s", state.iteration, pass_line(state), extra=fields)

    def watch(self, a_pass: "PassProgress") -> None:
        """Log the search for starts now and then; progress within a pass is for terminals only."""
        self.close()
        if a_pass.name == "gmm-init-starts":
            self._search = Repeater(lambda _: _log_search(a_pass), PATIENCE)

    def close(self) -> None:
        """Stop logging the search for starts: it has ended, or the job has."""
        if self._search is not None:
            self._search.stop()
            self._search = None

    def end(self) -> None:
        """Log the end of a job that succeeded."""
        if self._began is None:  # there was nothing to do
            return
        seconds = time.monotonic() - self._began
        fields = event(f"{self._job}-end", **self._last, **self._outcome, seconds=seconds)
        logger.info("Done in %.1f s.", seconds, extra=fields)


def _log_search(a_pass: "PassProgress") -> None:
    """Log an event with the figures of each candidate's search for starts."""
    for found in a_pass.events():
        fields = {key: one for key, one in found.items() if key not in _OF_THE_CLUSTER}
        logger.info(capitalised(search_line([found])), extra=event("starts", **fields))
