"""What is said beside the results, on standard error."""

import logging
import os
import sys

LEVELS = ("debug", "info", "warning", "error")
_DASK = ("distributed", "distributed.client", "distributed.gc")


class Lines(logging.Handler):
    """Writes records as plain lines.

    It looks for standard error each time: a progress display puts itself in its place.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        text = self.format(record)
        if record.levelno > logging.INFO:
            text = f"{record.levelname.lower()}: {text}"
        sys.stderr.write(f"{text}\n")


def set_up(level: str) -> None:
    """Show our own messages from a level on, and Dask's when debugging only."""
    logger = logging.getLogger("daskgmm")
    logger.setLevel(level.upper())
    logger.handlers = [Lines()]
    logger.propagate = False
    if level != "debug":
        # Through the environment, so that workers, which are processes, are silent as well.
        os.environ.setdefault("DASK_LOGGING", str(dict.fromkeys(_DASK, "critical")))
        for name in ("asyncio", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
