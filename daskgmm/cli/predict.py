"""``daskgmm predict``."""

from typing import Any

import click


@click.command()
def predict(**options: Any) -> None:
    """Label rows."""
