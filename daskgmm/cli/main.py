"""``daskgmm``: its commands, and how the process ends.

The format of messages, before anything of the command line is understood.
"""

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

from daskgmm.cli.exits import CommandFailure, Exit, code_of, interruptible, show
from daskgmm.cli.options import secrets
from daskgmm.cli.options.names import CONFIG, likely
from daskgmm.cli.options.sources import PREFIX, let_variables_set
from daskgmm.cli.options.toml import read_toml
from daskgmm.cli.output import logs, streams


def format_asked(words: Sequence[str]) -> str:
    """What ``--log-format`` asks for, so that wrong usage is told in that format as well.

    Whatever is wrong here is found and told later.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    asked = _said(words, command, "log-format") or _in_file(words, command)
    return "json" if asked == "json" else "text"


def _said(words: Sequence[str], command: str, option: str) -> str | None:
    """The value of an option on the command line or else in a variable."""
    typed = [value for word, value in pairwise(words) if word == f"--{option}"]
    typed += [word.partition("=")[2] for word in words if word.startswith(f"--{option}=")]
    name = option.replace("-", "_").upper()
    names = (f"{PREFIX}{command.upper()}_{name}", f"{PREFIX}{name}")
    return next(filter(None, [*typed[-1:], *map(os.environ.get, names)]), None)


def _in_file(words: Sequence[str], command: str) -> Any:
    path = _said(words, command, "config")
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
    "score": "daskgmm.cli.commands.score",
    "sample": "daskgmm.cli.commands.sample",
    "show": "daskgmm.cli.commands.show",
    "plot": "daskgmm.cli.commands.plot",
    "watch": "daskgmm.cli.commands.watch",
    "config": "daskgmm.cli.commands.config",
    "plan": "daskgmm.cli.commands.plan",
    "doctor": "daskgmm.cli.commands.doctor",
}


class Commands(click.Group):
    """Commands that are imported when they are named, and fail in our words."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """In the order of use."""
        return list(_HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name."""
        if cmd_name not in _HOMES:
            return None
        command: click.Command = getattr(import_module(_HOMES[cmd_name]), cmd_name)
        if cmd_name != CONFIG:
            let_variables_set(cmd_name, command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that is named, or the one that may have been meant."""
        name = args[0]
        if name not in _HOMES and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}. {likely(name, _HOMES)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; whatever goes wrong becomes a failure with its exit code."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise _with_suggestion(error) from error
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise CommandFailure.of(error) from error


def _with_suggestion(error: click.NoSuchOption) -> click.UsageError:
    """The same with one option to choose, and not all that are spelt a little alike."""
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
        # Without standalone mode click returns what commands return, or a code asked for.
        code = daskgmm.main(arguments, prog_name="daskgmm", standalone_mode=False)
    except click.ClickException as error:
        return _ended_by(error)
    except OSError as error:  # of standard output, where help is shown
        return _ended_by(CommandFailure.of(error))
    except click.Abort:  # Ctrl-C before the command had begun
        return Exit.INTERRUPTED
    return code if isinstance(code, int) else Exit.DONE


def _ended_by(error: click.ClickException) -> int:
    show(error)
    return code_of(error)


def main() -> NoReturn:
    """Run the command line of this process and end it."""
    streams.prepare()
    logs.tell_warnings()
    with interruptible():
        code = run()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or code_of(CommandFailure.of(error))
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process without taking the interpreter apart.

    Arrow reads ahead in threads of its own, also of a file that nobody reads on. One that comes
    back to an interpreter that is gone aborts the process or hangs it, whatever its code was.
    """
    if code not in (Exit.INTERRUPTED, Exit.TERMINATED):  # then nobody waits for a long task
        atexit._run_exitfuncs()  # noqa: SLF001  as `multiprocessing` ends its processes
    os._exit(code)
