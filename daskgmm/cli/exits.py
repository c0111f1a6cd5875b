"""How the process ends: exit codes, and failures in one line of cause and one of remedy."""

import errno
import logging
import traceback
from enum import IntEnum
from typing import Any, Self

import click

from daskgmm import errors
from daskgmm.cli.signals import Terminated


class Exit(IntEnum):
    """Exit codes; those from 64 on are the BSDs' (sysexits.h)."""

    DONE = 0
    USAGE = 2
    NOT_CONVERGED = 3
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
    (BrokenPipeError, Exit.BROKEN_PIPE),
)


class Failure(click.ClickException):
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
        code = next((code for kind, code in _CODES if isinstance(error, kind)), Exit.OUR_FAULT)
        if isinstance(error, errors.DaskGMMError):
            return cls(error.cause, error.remedy, code)
        if isinstance(error, KeyboardInterrupt):
            return cls(
                "Interrupted.",
                "Run the same command again: a fit goes on from its checkpoint.",
                code,
            )
        if isinstance(error, BrokenPipeError):  # the reader of our output has seen enough
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


def show(error: click.ClickException) -> None:
    """Tell on standard error what went wrong and what to do."""
    if logging.getLogger("daskgmm").isEnabledFor(logging.DEBUG) and error.__cause__:
        click.echo("".join(traceback.format_exception(error.__cause__)), err=True, nl=False)
    cause = " ".join(error.format_message().split())
    if cause:
        click.echo(f"error: {cause}", err=True)
    remedy = _remedy(error)
    if remedy:
        click.echo(" ".join(remedy.split()), err=True)


def _remedy(error: Any) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"Try '{error.ctx.command_path} --help'."
    return str(getattr(error, "remedy", ""))
