"""An option of pairs, which all sources give some of."""

from typing import Any

import click
from click.core import ParameterSource


class Pairs(click.Option):
    """Pairs from a file, from variables and from the command line together.

    An address may stand in a file, and the key to it in a variable. The later ones win where
    they have the same names.
    """

    def consume_value(self, ctx: click.Context, opts: Any) -> tuple[Any, ParameterSource]:
        """The pairs, and the first place that has any."""
        value, source = super().consume_value(ctx, opts)
        below: list[Any] = []
        if source is ParameterSource.COMMANDLINE:
            below = [ctx.lookup_default(str(self.name)), self.value_from_envvar(ctx)]
        elif source is ParameterSource.ENVIRONMENT:
            below = [ctx.lookup_default(str(self.name))]
        found = [each for pairs in below for each in pairs or ()]
        return ([*found, *value] if found else value), source
