"""Types of options: lists of names, numbers, pairs of a key and a value."""

import csv
import json
import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

import click
from click.core import ParameterSource

from daskgmm.cli.options import secrets


def names(text: str) -> tuple[str, ...]:
    """Split a list of names at its commas; a name in double quotes may contain commas.

    >>> names('a, "b, c"')
    ('a', 'b, c')
    """
    try:
        fields = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error:
        raise click.BadParameter(f"{text!r} has a double quote that is not closed.") from None
    found = tuple(name.strip() for name in fields)
    if not (found and all(found)):
        raise click.BadParameter(f"{text!r} has an empty name.")
    return found


class Names(click.Option):
    """A list of names that grows each time the option is repeated; None without any."""

    def __init__(self, *declarations: Any, **options: Any) -> None:
        options |= {"type": _as_names, "multiple": True, "callback": _none_if_empty}
        super().__init__(*declarations, **options)

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """The whole variable as one text: click would split it at blanks."""
        text = self.resolve_envvar_value(ctx)
        return None if text is None else [text]

    def type_cast_value(self, ctx: click.Context, value: Any) -> tuple[str, ...]:
        """The names of all occurrences in one tuple."""
        return tuple(chain.from_iterable(super().type_cast_value(ctx, value)))


def _as_names(given: Any) -> tuple[str, ...]:
    """Names from a text, or from a list in a configuration file."""
    if not given:
        raise click.BadParameter("it has no names.")
    return names(given) if isinstance(given, str) else tuple(given)


def _none_if_empty(_context: click.Context, _option: click.Parameter, value: Any) -> Any:
    return value or None


class Components(click.IntRange):
    """A single K; a list of them is refused with a hint at ``select``, which takes several."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number that an option's text stands for."""
        text = str(value)
        if ".." in text or "," in text:
            taker = "fit" if ctx is None else ctx.info_name
            self.fail(f"{taker} takes one number; `daskgmm select -k {text}` tries several.")
        if not text.lstrip("+-").isdecimal():
            self.fail(f"{text!r} is not a whole number such as 3.")
        return super().convert(value, param, ctx)


class Number(click.FloatRange):
    """A finite number, of any size unless a range is given: click's own ranges let NaN pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number that an option's text stands for."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{found} is not a finite number.")
        return found

    def _describe_range(self) -> str:
        """The range as click's help shows it; click writes ``x<=None`` for one without ends."""
        return "" if self.min is None is self.max else super()._describe_range()


class Threshold(click.types.FloatParamType):
    """A number to compare values with; minus infinity is below all of them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number that an option's text stands for."""
        found = super().convert(value, param, ctx)
        if not (math.isfinite(found) or found == -math.inf):
            self.fail(f"{found} is not a number that a score can be compared with.")
        return found


def many(text: str) -> int:
    """A positive integer, also as 1e6 or 1_000_000."""
    try:
        number = int(text) if text.replace("_", "").isdecimal() else float(text)
        whole = int(number)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is not a number such as 1000 or 1e6.") from None
    if whole != number or whole < 1:
        raise click.BadParameter(f"{text} is not a whole number from 1 up.")
    return whole


class Pairs(click.Option):
    """Pairs of a key and a value, collected from the file, the variables and the command line.

    A store's address may be in a file and its secret in a variable. For equal keys the command
    line overrides variables, and variables override the file.
    """

    def consume_value(self, ctx: click.Context, opts: Any) -> tuple[Any, ParameterSource]:
        """The pairs of all sources, and the first source that has any."""
        value, source = super().consume_value(ctx, opts)
        below: list[Any] = []
        if source is ParameterSource.COMMANDLINE:
            below = [ctx.lookup_default(str(self.name)), self.value_from_envvar(ctx)]
        elif source is ParameterSource.ENVIRONMENT:
            below = [ctx.lookup_default(str(self.name))]
        found = [each for pairs in below for each in pairs or ()]
        return ([*found, *value] if found else value), source


def key_value(text: str) -> tuple[str, Any]:
    """A key and a value, which may be a JSON object, list, true, false or null."""
    key, sign, value = text.partition("=")
    if not (key and sign):
        # The message leaves out the text, which may be a password.
        raise click.BadParameter("it is not of the form KEY=VALUE.")
    plain = _plain_value(value)
    secrets.remember(key, plain)
    return key, plain


def _plain_value(text: str) -> Any:
    """The value of JSON text; numbers stay text, as a key of digits only is still a key."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, int | float) and not isinstance(value, bool) else value


class TableType(click.Option):
    """A table of a configuration file, or JSON on the command line and in variables."""


def table_or_json(given: Any) -> dict[str, Any]:
    """A table from a file, or from the text of a JSON object."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = None
    if not isinstance(given, Mapping):
        raise click.BadParameter("it is neither a table nor a JSON object.")
    secrets.remember_named(given)
    return dict(given)


def none_if_overridden(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """None for a cluster in a file where the command line or a variable names another place."""
    stronger = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    others = ("scheduler", "workers", "threads", "memory_limit")
    if context.get_parameter_source(str(option.name)) not in stronger and any(
        context.get_parameter_source(name) in stronger for name in others
    ):
        return None
    return value


def subsample(text: str) -> str | int | None:
    """``auto``, ``none`` or a number of rows, as the estimator takes it."""
    if text == "none":
        return None
    if text != "auto" and not text.isdigit():
        raise click.BadParameter(f"{text!r} is none of auto, none and a number of rows.")
    return text if text == "auto" else int(text)
