"""How the process ends: exit codes, and failures in one line of cause and one of remedy.

Signals that ask the process to end.
"""

import errno
import re
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn, Self

import click

from daskgmm import errors
from daskgmm.cli.options.secrets import masked
from daskgmm.cli.output import logs
from daskgmm.cli.output.json_logs import event
from daskgmm.cli.output.streams import NobodyReadsError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM came: raised where Ctrl-C would be, so that what heeds that one heeds both."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise in the main thread when a signal comes, once: what tidies up is left alone."""
    before = [signal.signal(each, _interrupt) for each in _SIGNALS]
    try:
        yield
    finally:
        for each, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(each, handler)


def _interrupt(number: int, _frame: Any) -> NoReturn:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


class Exit(IntEnum):
    """Exit codes; those from 64 on are the BSDs' (sysexits.h)."""

    DONE = 0
    USAGE = 2
    NOT_CONVERGED = 3
    TOO_LOW = 3  # the same to who runs it: a result, and not good enough
    BAD_DATA = 65
    NO_INPUT = 66
    OUR_FAULT = 70
    NO_OUTPUT = 73
    TRY_AGAIN = 75
    INTERRUPTED = 130
    TERMINATED = 143
    BROKEN_PIPE = 141


_CODES: tuple[tuple[type[BaseException], Exit], ...] = (
    (errors.ConfigurationError, Exit.USAGE),
    (errors.DataError, Exit.BAD_DATA),
    (errors.MissingInputError, Exit.NO_INPUT),
    (errors.OutputError, Exit.NO_OUTPUT),
    (errors.ClusterError, Exit.TRY_AGAIN),
    (Terminated, Exit.TERMINATED),
    (KeyboardInterrupt, Exit.INTERRUPTED),
    (NobodyReadsError, Exit.BROKEN_PIPE),
)


_BOTH_WAYS = re.compile(r"\b\w+= \((--[a-z-]+)\)")
"""An option as errors name it that Python's users and the shell's may see: ``tol= (--tol)``."""


class CommandFailure(click.ClickException):
    """The end of a command that could not do its job.

    Parameters
    ----------
    cause, remedy : str
        A line each; nothing is said where there is no cause.
    code : Exit
    """

    def __init__(self, cause: str, remedy: str, code: Exit) -> None:
        super().__init__(cause)
        self.remedy = remedy
        self.code = code

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """What an exception means to the user."""
        code = code_for(type(error))
        if isinstance(error, errors.DaskGMMError):
            return cls(error.cause, _BOTH_WAYS.sub(r"\1", error.remedy), code)
        if isinstance(error, KeyboardInterrupt):
            remedy = " ".join(getattr(error, "__notes__", ["Run the same command again."]))
            return cls("Interrupted.", remedy, code)
        if isinstance(error, NobodyReadsError):
            return cls("", "", code)
        return cls._unexpected(error, code)

    @classmethod
    def _unexpected(cls, error: BaseException, code: Exit) -> Self:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return cls(f"No space is left: {error}.", "Free some and run it again.", Exit.NO_OUTPUT)
        text = " ".join(str(error).split())
        cause = f"Unexpected failure: {type(error).__name__}: {text}"
        remedy = "Run it with --log-level debug for the traceback, and report it."
        return cls(cause, remedy, code)


def code_for(kind: type[BaseException]) -> Exit:
    """The exit code that a kind of exception ends with."""
    return next((code for base, code in _CODES if issubclass(kind, base)), Exit.OUR_FAULT)


def code_of(error: click.ClickException) -> int:
    """The exit code that a failure or wrong usage ends with."""
    return error.code if isinstance(error, CommandFailure) else error.exit_code


def show(error: click.ClickException) -> None:
    """Tell on standard error what went wrong and what to do."""
    cause, remedy = (_line(text) for text in (error.format_message(), _remedy(error)))
    if logs.as_json():
        _log(error, cause, remedy)
        return
    if logs.debugging() and error.__cause__:
        click.echo(masked("".join(traceback.format_exception(error.__cause__))), err=True, nl=False)
    if cause:
        click.echo(f"error: {cause}", err=True)
    if remedy:
        click.echo(remedy, err=True)


def _log(error: click.ClickException, cause: str, remedy: str) -> None:
    if cause:
        told = event("error", cause=cause, remedy=remedy, exit_code=int(code_of(error)))
        logs.ours.error(cause, extra=told, exc_info=error.__cause__ if logs.debugging() else None)


def _line(text: str) -> str:
    return masked(" ".join(text.split()))


def _remedy(error: Any) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"Try '{error.ctx.command_path} --help'."
    return str(getattr(error, "remedy", ""))
