"""Options of names, which have commas between them or are given one by one."""

import csv
from itertools import chain
from typing import Any

import click


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them; in double quotes one may hold commas itself.

    >>> names('a, "b, c"')
    ('a', 'b, c')
    """
    try:
        fields = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error:
        raise click.BadParameter(f"{text!r} has a double quote without its other one.") from None
    found = tuple(name.strip() for name in fields)
    if not (found and all(found)):
        raise click.BadParameter(f"{text!r} has an empty name.")
    return found


class Names(click.Option):
    """An option of names that adds to itself where it is given again; None without any."""

    def __init__(self, *declarations: Any, **options: Any) -> None:
        options |= {"type": _as_names, "multiple": True, "callback": _none_if_empty}
        super().__init__(*declarations, **options)

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """All in one text: blanks are parts of names."""
        text = self.resolve_envvar_value(ctx)
        return None if text is None else [text]

    def type_cast_value(self, ctx: click.Context, value: Any) -> tuple[str, ...]:
        """All names together."""
        return tuple(chain.from_iterable(super().type_cast_value(ctx, value)))


def _as_names(given: Any) -> tuple[str, ...]:
    """Those of a text, or of a list that a file has."""
    if not given:
        raise click.BadParameter("it has no names.")
    return names(given) if isinstance(given, str) else tuple(given)


def _none_if_empty(_context: click.Context, _option: click.Parameter, value: Any) -> Any:
    return value or None
