"""Messages on standard error: their level and format, ours and Dask's."""

import logging
import os
import sys
import warnings
from typing import Any

from daskgmm.cli.options.secrets import masked
from daskgmm.cli.output import json_logs

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
_DASK = ("distributed", "distributed.client", "distributed.gc")

ours = logging.getLogger("daskgmm")


class LineHandler(logging.Handler):
    """Writes records as plain lines.

    It looks up standard error each time, because a progress display replaces it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        text = masked(self.format(record))
        if record.levelno > logging.INFO:
            text = f"{record.levelname.lower()}: {text}"
        sys.stderr.write(f"{text}\n")


def set_level(level: str) -> None:
    """Show our messages from a level on; Dask's are shown at level debug only."""
    ours.setLevel(level.upper())
    if not ours.handlers:
        set_format("text")
    if level != "debug":
        for name in ("asyncio", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    _configure_dask()


def set_format(format: str) -> None:  # noqa: A002  as the option is called
    """Write messages as plain lines or as JSON."""
    ours.propagate = False
    if format == "json":
        ours.handlers = [json_logs.handler()]
        json_logs.catch_all()
    else:
        ours.handlers = [LineHandler()]
    _configure_dask()


def log_warnings() -> None:
    """Log each warning of a library as one line, without its place in their code."""
    warnings.showwarning = _log_warning


def _log_warning(message: Warning | str, *_place: Any, **_more: Any) -> None:
    ours.warning("%s", " ".join(str(message).split()))


def as_json() -> bool:
    """Whether messages are written as JSON."""
    return json_logs.handler() in ours.handlers


def debugging() -> bool:
    """Whether messages of level debug are shown."""
    return ours.isEnabledFor(logging.DEBUG)


def _configure_dask() -> None:
    """Set Dask's log levels by an environment variable, which worker processes inherit."""
    levels = dict.fromkeys(_DASK, "INFO" if debugging() else "CRITICAL")
    if as_json():
        os.environ["DASK_LOGGING"] = str(json_logs.for_processes(levels))
    elif not debugging():
        os.environ.setdefault("DASK_LOGGING", str({k: v.lower() for k, v in levels.items()}))
