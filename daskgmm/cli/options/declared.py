"""Options of the command line, made of the jobs' declarations; see `daskgmm.jobs.options`."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from daskgmm.cli.options.types import (
    Names,
    Number,
    Pairs,
    TableType,
    key_value,
    none_if_overridden,
    subsample,
    table_or_json,
)
from daskgmm.fitting.options import Declared, declared

F = TypeVar("F", bound=Callable[..., Any])

_SPECIAL: dict[str, dict[str, Any]] = {
    "columns": {"cls": Names},
    "exclude": {"cls": Names},
    "keep": {"cls": Names},
    "fix": {"cls": Names},
    "with_": {"cls": Names},
    "partition_by": {"cls": Names},
    "where": {"multiple": True},
    "storage_options": {"cls": Pairs, "type": key_value, "multiple": True},
    "subsample": {"type": subsample},
    "cluster": {"cls": TableType, "type": table_or_json, "callback": none_if_overridden},
}
"""What click needs to know beside the declaration."""

_METAVARS = {int: "N", float: "X"}


def in_order(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator of several; the first comes first in the help."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def options_of(kind: type, names: Iterable[str] | None = None) -> Callable[[F], F]:
    """Options of the command line for keywords of jobs.

    Parameters
    ----------
    kind : TypedDict class
        Declares the options.
    names : iterable of str, optional
        The options to take, in this order; all by default.
    """
    found = declared(kind)
    return in_order(*(_option(found[name]) for name in names or found))


def _option(one: Declared) -> Callable[[F], F]:
    option, number = one.option, set(one.types) & _METAVARS.keys()
    flag = f"--{option.flag or one.name.replace('_', '-')}"
    details: dict[str, Any] = {"help": option.help, "metavar": option.metavar}
    if option.default not in (None, False, (), {}):
        details |= {"default": option.default, "show_default": True}
    if bool in one.types:
        if option.default:
            flag = f"{flag}/--no-{flag.removeprefix('--')}"
        else:
            details["is_flag"] = True
    elif option.choices:
        details["type"] = click.Choice(option.choices)
    elif one.name in _SPECIAL:
        details |= _SPECIAL[one.name]
    elif number:
        details["type"] = _range(one)
        details["metavar"] = option.metavar or _METAVARS[number.pop()]
    return click.option(flag, one.name, **details)


def _range(one: Declared) -> Any:
    least, most = one.option.least, one.option.most
    if int in one.types:
        ends: dict[str, Any] = {"min": least, "max": most}
        return click.IntRange(**ends)
    return Number(least, most, min_open=one.option.above)
