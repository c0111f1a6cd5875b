"""The program ``daskgmm``: finds the command, runs it, and ends the process with its exit code."""

import atexit
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from typing import Any, NoReturn

import click

from daskgmm.cli import loading
from daskgmm.cli.exits import CommandFailure, Exit, code_of, interruptible, show_error
from daskgmm.cli.options import secrets
from daskgmm.cli.options.names import CONFIG, likely
from daskgmm.cli.options.sources import PREFIX, let_variables_set, single_commands
from daskgmm.cli.options.toml import read_toml
from daskgmm.cli.output import logs, streams


def format_asked(words: Sequence[str]) -> str:
    """The value of ``--log-format``, read before click parses anything.

    Usage errors are then reported in that format too. Errors met here are ignored: click, or
    the reading of the configuration file, reports them later.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    asked = _given(words, command, "log-format") or _in_file(words, command)
    return "json" if asked == "json" else "text"


def _given(words: Sequence[str], command: str, option: str) -> str | None:
    """The value of an option on the command line, or else in an environment variable."""
    typed = [value for word, value in pairwise(words) if word == f"--{option}"]
    typed += [word.partition("=")[2] for word in words if word.startswith(f"--{option}=")]
    name = option.replace("-", "_").upper()
    names = (f"{PREFIX}{command.upper()}_{name}", f"{PREFIX}{name}")
    return next(filter(None, [*typed[-1:], *map(os.environ.get, names)]), None)


def _in_file(words: Sequence[str], command: str) -> Any:
    path = _given(words, command, "config")
    with suppress(OSError, ValueError):
        values = read_toml(path)[0] if path else {}
        table = values.get(command)
        for scope in (table if isinstance(table, Mapping) else {}, values):
            for key in ("log-format", "log_format"):
                if key in scope:
                    return scope[key]
    return None


_HOMES = {
    "fit": "daskgmm.cli.commands.fit",
    "select": "daskgmm.cli.commands.select",
    "update": "daskgmm.cli.commands.update",
    "predict": "daskgmm.cli.commands.predict",
    "impute": "daskgmm.cli.commands.impute",
    "merge": "daskgmm.cli.commands.merge",
    "adapt": "daskgmm.cli.commands.adapt",
    "score": "daskgmm.cli.commands.score",
    "sample": "daskgmm.cli.commands.sample",
    "show": "daskgmm.cli.commands.show",
    "plot": "daskgmm.cli.commands.plot",
    "export": "daskgmm.cli.commands.export",
    "runs": "daskgmm.cli.commands.runs",
    "watch": "daskgmm.cli.commands.watch",
    "config": "daskgmm.cli.commands.config",
    "plan": "daskgmm.cli.commands.plan",
    "doctor": "daskgmm.cli.commands.doctor",
}


class Commands(click.Group):
    """A group that imports a command when it is called, and reports its errors as failures."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The commands in the order in which they are usually used."""
        return list(_HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command with this name, or None."""
        if cmd_name not in _HOMES:
            return None
        command: click.Command = getattr(import_module(_HOMES[cmd_name]), cmd_name)
        if cmd_name != CONFIG:
            for name, each in single_commands(cmd_name, command).items():
                let_variables_set(name, each)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that was typed; an error for an unknown one suggests a similar name."""
        name = args[0]
        if name not in loading.COMMANDS:
            loading.end()
        if name not in _HOMES and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}. {likely(name, _HOMES)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command and turn every exception into a failure with an exit code."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise _with_suggestion(error) from error
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise CommandFailure.of(error) from error


def _with_suggestion(error: click.NoSuchOption) -> click.UsageError:
    """The same error with one similar option as a suggestion; click lists all of them."""
    context = error.ctx
    params = [] if context is None else context.command.get_params(context)
    known = [name for param in params for name in (*param.opts, *param.secondary_opts)]
    meant = likely(error.option_name, (name for name in known if name.startswith("--")))
    return click.UsageError(f"{error.message} {meant}", context)


def _show_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"daskgmm {version('daskgmm')}")
        context.exit()


@click.group(
    cls=Commands,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def daskgmm() -> None:
    """Gaussian mixtures on data larger than memory, with Dask."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code."""
    secrets.forget()
    logs.set_format(format_asked(sys.argv[1:] if arguments is None else arguments))
    try:
        # Without standalone mode click returns the command's result or the code of its exit.
        code = daskgmm.main(arguments, prog_name="daskgmm", standalone_mode=False)
    except click.ClickException as error:
        return _ended_by(error)
    except OSError as error:  # from writing the help to standard output
        return _ended_by(CommandFailure.of(error))
    except click.Abort:  # Ctrl-C before the command began
        return Exit.INTERRUPTED
    return code if isinstance(code, int) else Exit.DONE


def _ended_by(error: click.ClickException) -> int:
    show_error(error)
    return code_of(error)


def main() -> NoReturn:
    """Run the command line of this process and end it."""
    loading.begin()
    loading.defer()
    streams.prepare()
    logs.log_warnings()
    with interruptible():
        code = run()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or code_of(CommandFailure.of(error))
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process without finalising the interpreter.

    Arrow reads ahead in its own threads, even in a file that is no longer needed. A thread that
    returns to a finalised interpreter aborts the process or hangs it.
    """
    # An interrupted process does not wait for its tasks.
    if code not in (Exit.INTERRUPTED, Exit.TERMINATED):
        atexit._run_exitfuncs()  # noqa: SLF001  as `multiprocessing` does
    os._exit(code)
