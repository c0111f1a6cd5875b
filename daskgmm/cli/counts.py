"""Numbers as options take them."""

import math
from typing import Any

import click


class Components(click.IntRange):
    """K, of which ``fit`` and ``plan`` take one and ``select`` takes several."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        text = str(value)
        if ".." in text or "," in text:
            taker = "fit" if ctx is None else ctx.info_name
            self.fail(f"{taker} takes one number; `daskgmm select -k {text}` tries several.")
        if not text.lstrip("+-").isdecimal():
            self.fail(f"{text!r} is no whole number such as 3.")
        return super().convert(value, param, ctx)


class Number(click.FloatRange):
    """A finite number: click's own ranges let NaN pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{found} is no finite number.")
        return found


def many(text: str) -> int:
    """A whole number from 1 up as people write large ones: 1e6, 1_000_000."""
    try:
        number = int(text) if text.replace("_", "").isdecimal() else float(text)
        whole = int(number)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no number such as 1000 or 1e6.") from None
    if whole != number or whole < 1:
        raise click.BadParameter(f"{text} is no whole number from 1 up.")
    return whole
