"""Sources of options beside the command line: environment variables and a configuration file.

``DASKGMM_TOL`` sets an option of any command, ``DASKGMM_FIT_TOL`` that of one command.
"""

import os
import re
from collections.abc import Iterable
from typing import Any

import click

from daskgmm.cli.exits import CommandFailure, Exit
from daskgmm.cli.options.names import CONFIG, long_name, normal, suggestion
from daskgmm.cli.options.toml import Commands, settings_of

PREFIX = "DASKGMM_"

# Kubernetes sets such variables for each service of the namespace; one may be called daskgmm.
_OTHERS = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")


def variables(command: str, param: click.Parameter) -> tuple[str, str]:
    """Names of the variables that set an option; the first one that is set wins."""
    name = normal(long_name(param)).upper()
    return f"{PREFIX}{normal(command).upper()}_{name}", f"{PREFIX}{name}"


def single_commands(name: str, command: click.Command) -> dict[str, click.Command]:
    """A command by its name or, of a group, those in it by names such as ``runs-list``."""
    if isinstance(command, click.Group):
        return {f"{name}-{inner}": each for inner, each in command.commands.items()}
    return {name: command}


def let_variables_set(name: str, command: click.Command) -> None:
    """Make click read the variables of each option and argument."""
    for param in command.params:
        param.envvar = variables(name, param)


def refuse_unknown(commands: Iterable[click.Command]) -> None:
    """Raise CommandFailure for a variable that begins with our prefix and sets no option."""
    params = [param for command in commands for param in command.params]
    known = {name for param in params for name in param.envvar or ()}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            if _OTHERS.fullmatch(name.removeprefix(PREFIX)):
                continue
            remedy = suggestion(name, known, "Unset it, or name an option in it.")
            raise CommandFailure(f"The variable {name} sets no option.", remedy, Exit.USAGE)


_ORIGINS = f"{__name__}.origins"


def take_from_file(context: click.Context, _option: Any, path: str | None) -> None:
    """Make the values of a configuration file the defaults of the options.

    Raises
    ------
    CommandFailure
        A key or value in the file is wrong, or a variable of ours sets no option.
    """
    commands = all_commands(context)
    refuse_unknown(commands.values())
    found = {} if path is None else settings_of(path, _name(context), commands)
    context.default_map = {name: setting.value for name, setting in found.items()}
    context.meta[_ORIGINS] = {name: setting.origin for name, setting in found.items()}


def _name(context: click.Context) -> str:
    """The name of a command as in `single_commands`."""
    above = context.parent
    own = str(context.info_name)
    return own if above is None or above.parent is None else f"{_name(above)}-{own}"


def all_commands(context: click.Context) -> Commands:
    """All commands by name, but ``config``, which shows the options of the others."""
    root = context.find_root()
    group = root.command
    if not isinstance(group, click.Group):
        return {}
    names = [name for name in group.list_commands(root) if name != CONFIG]
    found = ((name, group.get_command(root, name)) for name in names)
    single = (single_commands(name, command) for name, command in found if command is not None)
    return {name: command for commands in single for name, command in commands.items()}


def origin(context: click.Context, name: str) -> str:
    """File and line that set a parameter."""
    return str(context.meta[_ORIGINS][name])
