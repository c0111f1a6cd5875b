"""What is said beside the results, on standard error."""

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

    It looks for standard error each time: a progress display puts itself in its place.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        text = masked(self.format(record))
        if record.levelno > logging.INFO:
            text = f"{record.levelname.lower()}: {text}"
        sys.stderr.write(f"{text}\n")


def set_level(level: str) -> None:
    """Show our own messages from a level on, and Dask's when debugging only."""
    ours.setLevel(level.upper())
    if not ours.handlers:
        set_format("text")
    if level != "debug":
        for name in ("asyncio", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    _tell_dask()


def set_format(format: str) -> None:  # noqa: A002  as the option is called
    """Write messages as plain lines or as JSON."""
    ours.propagate = False
    if format == "json":
        ours.handlers = [json_logs.handler()]
        json_logs.catch_all()
    else:
        ours.handlers = [LineHandler()]
    _tell_dask()


def tell_warnings() -> None:
    """Tell what libraries warn of in a line each, without its place in their code."""
    warnings.showwarning = _tell_warning


def _tell_warning(message: Warning | str, *_place: Any, **_more: Any) -> None:
    ours.warning("%s", " ".join(str(message).split()))


def as_json() -> bool:
    """Whether all that is said is JSON."""
    return json_logs.handler() in ours.handlers


def debugging() -> bool:
    """Whether all is wanted."""
    return ours.isEnabledFor(logging.DEBUG)


def _tell_dask() -> None:
    """Through the environment, so that workers, which are processes, heed it as well."""
    levels = dict.fromkeys(_DASK, "INFO" if debugging() else "CRITICAL")
    if as_json():
        os.environ["DASK_LOGGING"] = str(json_logs.for_processes(levels))
    elif not debugging():
        os.environ.setdefault("DASK_LOGGING", str({k: v.lower() for k, v in levels.items()}))
