"""The command line as a test runs it: as a process of its own, or here where that adds nothing."""

import io
import logging
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from daskgmm.cli.main import run
from tests.support.forking import forked

COMMAND = (sys.executable, "-m", "daskgmm")
"""Starts a process as users do, which takes a second or more: for tests of the start itself, of
kills, of what libraries read while they are imported, and of the log level ``debug``."""

_WITHOUT_PAUSES = """
import s3fs
from daskgmm.cli import main
from daskgmm.data.storage import retry as retrying
retrying.PAUSES = (0.0, 0.0)
s3fs.S3FileSystem.retries = 1
main()
"""


@dataclass(frozen=True)
class Ended:
    """What a command left on the screen."""

    code: int
    out: str
    err: str


def a_moment():
    """Leave the core to others: a wait that spins would take it from what is waited for."""
    time.sleep(0.001)


def forked_command():
    """Begins a command line whose process has imported the libraries already."""
    return (str(forked() / "daskgmm"),)


def hurried_command():
    """The same, without waits between its tries of a store that fails in passing.

    Neither it nor the store's package waits.
    """
    return (str(forked() / "python"), "-c", _WITHOUT_PAUSES)


def in_process(*arguments, timeout=200, command=None, **options):
    """Run the command in a process of its own."""
    done = subprocess.run(
        [*(command or forked_command()), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@contextmanager
def logging_as_it_was():
    """Whatever the command line sets in this process, for the block only."""
    names = (None, "daskgmm", "asyncio", "tornado.application")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.level, logger.handlers, logger.propagate) for logger in loggers]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_LOGGING", "{}")
        patch.setattr(warnings, "showwarning", warnings.showwarning)
        patch.setattr(sys, "unraisablehook", sys.unraisablehook)
        patch.setattr(threading, "excepthook", threading.excepthook)
        try:
            yield
        finally:
            logging.captureWarnings(capture=False)
            for logger, level, handlers, propagate in before:
                logger.setLevel(level)
                logger.handlers, logger.propagate = handlers, propagate


def made(*arguments):
    """Run the command in this process where no test's output is caught yet: for fixtures."""
    out, err = io.StringIO(), io.StringIO()
    with logging_as_it_was(), redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture
def here(capsys):
    """Run the command in this process, and leave logging as it was."""

    def command(*arguments):
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    with logging_as_it_was():
        yield command
