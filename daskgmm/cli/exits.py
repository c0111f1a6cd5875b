"""Exit codes; failures, with a line of cause and a line of remedy; signals that end a process."""

import errno
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn, Self

import click

from daskgmm import errors
from daskgmm.cli.options.secrets import masked
from daskgmm.cli.output import logs
from daskgmm.cli.output.json_logs import event, log_unraisable
from daskgmm.cli.output.streams import OutputClosedError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """Raised on SIGTERM where Ctrl-C raises KeyboardInterrupt, so that both are handled alike."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise in the main thread at the first signal; later ones are ignored during the clean-up."""
    before = [signal.signal(each, _interrupt) for each in _SIGNALS]
    try:
        yield
    finally:
        for each, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(each, handler)


def _interrupt(number: int, _frame: Any) -> NoReturn:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.unraisablehook = log_unraisable  # of what the signal finds half made
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


class Exit(IntEnum):
    """Exit codes; those from 64 on are the BSDs' (sysexits.h)."""

    DONE = 0
    USAGE = 2
    NOT_CONVERGED = 3
    TOO_LOW = 3  # like NOT_CONVERGED: there is a result, but it is not good enough
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
    (errors.BelowThresholdError, Exit.TOO_LOW),
    (errors.ClusterError, Exit.TRY_AGAIN),
    (Terminated, Exit.TERMINATED),
    (KeyboardInterrupt, Exit.INTERRUPTED),
    (OutputClosedError, Exit.BROKEN_PIPE),
)


_BOTH_WAYS = re.compile(r"\b\w+= \((--[a-z-]+)\)")
"""An option as errors name it for users of both Python and the shell: ``tol= (--tol)``."""


class CommandFailure(click.ClickException):
    """The failure of a command.

    Parameters
    ----------
    cause, remedy : str
        A line each; an empty cause prints nothing.
    code : Exit
    """

    def __init__(self, cause: str, remedy: str, code: Exit) -> None:
        super().__init__(cause)
        self.remedy = remedy
        self.code = code

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """The failure that an exception amounts to."""
        code = code_for(type(error))
        if isinstance(error, errors.DaskGMMError):
            return cls(error.cause, _BOTH_WAYS.sub(r"\1", error.remedy), code)
        if isinstance(error, KeyboardInterrupt):
            remedy = " ".join(getattr(error, "__notes__", ["Run the same command again."]))
            return cls("Interrupted.", remedy, code)
        if isinstance(error, OutputClosedError):
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
    """The exit code for a class of exceptions."""
    return next((code for base, code in _CODES if issubclass(kind, base)), Exit.OUR_FAULT)


def code_of(error: click.ClickException) -> int:
    """The exit code of a failure or of a usage error."""
    return error.code if isinstance(error, CommandFailure) else error.exit_code


def show_error(error: click.ClickException) -> None:
    """Print the cause and the remedy on standard error."""
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
        fields = event("error", cause=cause, remedy=remedy, exit_code=int(code_of(error)))
        logs.ours.error(cause, extra=fields, exc_info=error.__cause__ if logs.debugging() else None)


def _line(text: str) -> str:
    return masked(" ".join(text.split()))


def _remedy(error: Any) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"Try '{error.ctx.command_path} --help'."
    return str(getattr(error, "remedy", ""))
