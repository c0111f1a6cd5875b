"""``daskgmm select``."""

from typing import Any

import click

from daskgmm.cli.commands.fit import AFTERWARDS, METHOD, ROWS_AND_RUN, fit_and_report
from daskgmm.cli.options.declared import in_order
from daskgmm.cli.options.types import names
from daskgmm.model.covariance import COVARIANCES


def numbers(text: str) -> tuple[int, ...]:
    """``3``, ``1..10``, ``1,2,5`` and mixtures of them: each number once, in their order."""
    found: dict[int, None] = {}
    for piece in text.split(","):
        first, dots, last = piece.strip().partition("..")
        if not (first.isdecimal() and (last.isdecimal() or not dots)):
            raise click.BadParameter(
                f"{text!r} is no list of numbers such as 3, 1..10 or 1,2,5.",
            )
        stretch = range(int(first), int(last or first) + 1)
        if not stretch or stretch[0] < 1:
            raise click.BadParameter(f"{piece.strip()!r} in {text!r} holds no number from 1 up.")
        found |= dict.fromkeys(stretch)
    return tuple(found)


def covariances(text: str) -> tuple[str, ...]:
    """``all``, or covariance types with commas between them."""
    found = tuple(COVARIANCES) if text == "all" else names(text)
    for name in found:
        if name not in COVARIANCES:
            raise click.BadParameter(f"{name!r} is none of all, {', '.join(COVARIANCES)}.")
    return tuple(dict.fromkeys(found))


_CANDIDATES = in_order(
    click.option(
        "-k",
        "--components",
        metavar="1..10|1,2,5",
        type=numbers,
        required=True,
        help="Numbers of components to try.",
    ),
    click.option(
        "--covariance",
        metavar="all|full,diag",
        type=covariances,
        default="full",
        show_default=True,
        help=f"Covariance types to try with each: {', '.join(COVARIANCES)}, or all.",
    ),
    click.option(
        "--criterion",
        type=click.Choice(("bic", "aic", "icl")),
        default="bic",
        show_default=True,
        help="What the best model has least of.",
    ),
)


@click.command()
@ROWS_AND_RUN
@_CANDIDATES
@METHOD
@AFTERWARDS
def select(inputs: tuple[str, ...], **options: Any) -> None:
    """Choose the mixture that suits the rows of INPUT best.

    All candidates are fitted in the same passes over the rows; the model of RUN, a run directory,
    is the best, and its record tells of all. INPUT is a Parquet or CSV file, a directory or a
    pattern of them, or a URL. The same command again does nothing where its run is complete, and
    goes on where it isn't.
    """
    from daskgmm import jobs

    fit_and_report(jobs.select, inputs, options)
