"""What a command's options are set from: the command line, variables, a file, defaults."""

from typing import Any

import click

from daskgmm.cli.environment import refuse_unknown
from daskgmm.cli.options.names import CONFIG
from daskgmm.cli.options.toml import Commands, settings

_ORIGINS = f"{__name__}.origins"


def take_from_file(context: click.Context, _option: Any, path: str | None) -> None:
    """Take what a configuration file says for options that nothing else sets.

    Raises
    ------
    Failure
        A key, a value or a variable of ours is wrong.
    """
    commands = all_commands(context)
    refuse_unknown(commands.values())
    found = {} if path is None else settings(path, str(context.info_name), commands)
    context.default_map = {name: setting.value for name, setting in found.items()}
    context.meta[_ORIGINS] = {name: setting.origin for name, setting in found.items()}


def all_commands(context: click.Context) -> Commands:
    """All commands that have options of their own, by their names."""
    root = context.find_root()
    group = root.command
    if not isinstance(group, click.Group):
        return {}
    names = [name for name in group.list_commands(root) if name != CONFIG]
    found = {name: group.get_command(root, name) for name in names}
    return {name: command for name, command in found.items() if command is not None}


def origin(context: click.Context, name: str) -> str:
    """File and line that a parameter is set by."""
    return str(context.meta[_ORIGINS][name])
