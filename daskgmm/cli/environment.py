"""Options in variables: ``DASKGMM_TOL`` for any command, ``DASKGMM_FIT_TOL`` for one."""

import os
import re
from collections.abc import Iterable

import click

from daskgmm.cli.exits import Exit, Failure
from daskgmm.cli.options.names import long_name, normal, suggestion

PREFIX = "DASKGMM_"

# Kubernetes tells each pod of the services beside it, and one may well be called daskgmm.
_OTHERS = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")


def variables(command: str, param: click.Parameter) -> tuple[str, str]:
    """The variables that may set an option; the first one wins."""
    name = normal(long_name(param)).upper()
    return f"{PREFIX}{command.upper()}_{name}", f"{PREFIX}{name}"


def let_variables_set(name: str, command: click.Command) -> None:
    """Have click look for the variables of each option and argument."""
    for param in command.params:
        param.envvar = variables(name, param)


def refuse_unknown(commands: Iterable[click.Command]) -> None:
    """Raise Failure where a variable starts as ours do and sets nothing."""
    params = [param for command in commands for param in command.params]
    known = {name for param in params for name in param.envvar or ()}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            if _OTHERS.fullmatch(name.removeprefix(PREFIX)):
                continue
            remedy = suggestion(name, known, "Unset it, or name an option in it.")
            raise Failure(f"The variable {name} sets no option.", remedy, Exit.USAGE)
