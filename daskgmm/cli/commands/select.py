"""The command ``daskgmm select``."""

from typing import Any

import click

from daskgmm.cli.commands.fit import AFTERWARDS, METHOD, ROWS_AND_RUN, fit_and_report
from daskgmm.cli.options.declared import in_order
from daskgmm.cli.options.types import names
from daskgmm.model.covariance import COVARIANCES


def numbers(text: str) -> tuple[int, ...]:
    """Numbers from a text such as ``3``, ``1..10`` or ``1,4..6``: each once, in order."""
    found: dict[int, None] = {}
    for piece in text.split(","):
        first, dots, last = piece.strip().partition("..")
        if not (first.isdecimal() and (last.isdecimal() or not dots)):
            raise click.BadParameter(
                f"{text!r} is not a list of numbers such as 3, 1..10 or 1,2,5.",
            )
        stretch = range(int(first), int(last or first) + 1)
        if not stretch or stretch[0] < 1:
            raise click.BadParameter(f"{piece.strip()!r} in {text!r} holds no number from 1 up.")
        found |= dict.fromkeys(stretch)
    return tuple(found)


def covariance_types(text: str) -> tuple[str, ...]:
    """Covariance types from ``all`` or a list of names."""
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
        help="Numbers of components to try, as a range or a list.",
    ),
    click.option(
        "--covariance",
        metavar="all|full,diag",
        type=covariance_types,
        default="full",
        show_default=True,
        help=f"Covariance types to try with each number: {', '.join(COVARIANCES)}, or all.",
    ),
    click.option(
        "--criterion",
        type=click.Choice(("bic", "aic", "icl")),
        default="bic",
        show_default=True,
        help="Information criterion that the best model minimises.",
    ),
)


@click.command()
@ROWS_AND_RUN
@_CANDIDATES
@METHOD
@AFTERWARDS
def select(inputs: tuple[str, ...], **options: Any) -> None:
    """Choose among mixtures by an information criterion.

    All candidates are fitted to the rows of INPUT in the same passes. The best model and a record
    of all candidates are written to RUN, a directory or a URL. INPUT is a file, a directory, a
    pattern of file names or a URL: Parquet, CSV, npy, Zarr, HDF5, or a table of Delta or Iceberg.
    Running the same command again continues an unfinished run, and does nothing once the run is
    complete.
    """
    from daskgmm import jobs

    fit_and_report(jobs.select, inputs, options)
