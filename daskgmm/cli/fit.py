"""``daskgmm fit``."""

import logging
from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.exits import Exit, Failure
from daskgmm.cli.options import (
    COLUMNS,
    FORCE,
    INPUTS,
    READING,
    in_order,
    inputs_of,
    resources_of,
)
from daskgmm.cli.secrets import typed_command

if TYPE_CHECKING:
    from daskgmm.jobs.fitting import FitOutcome, FitRequest, Method

logger = logging.getLogger(__name__)


def subsample(text: str) -> str | int | None:
    """``auto``, ``none`` or a number of rows, as the estimator takes it."""
    if text == "none":
        return None
    if text != "auto" and not text.isdigit():
        raise click.BadParameter(f"{text!r} is none of auto, none and a number of rows.")
    return text if text == "auto" else int(text)


# Names only, so that --help loads no library; the estimator has the last word on them.
COVARIANCES = ("full", "tied", "diag", "spherical")
_INITS = ("kmeans", "k-means++", "random", "random_from_data", "hierarchical", "k-means||")
_MIXTURE = in_order(
    click.option(
        "-k",
        "--components",
        metavar="K",
        type=click.IntRange(min=1),
        required=True,
        help="Number of components.",
    ),
    click.option(
        "--covariance",
        type=click.Choice(COVARIANCES),
        default="full",
        show_default=True,
        help="One matrix each, one for all, diagonals, or one number each.",
    ),
)
METHOD = in_order(
    click.option(
        "--init",
        type=click.Choice(_INITS),
        default="kmeans",
        show_default=True,
        help="How starts are found.",
    ),
    click.option(
        "--n-init",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Number of starts, of which the best is kept.",
    ),
    click.option(
        "--tol",
        type=click.FloatRange(min=0),
        default=1e-3,
        show_default=True,
        help="Stop when the change is smaller.",
    ),
    click.option(
        "--stopping",
        type=click.Choice(("lower_bound", "parameters")),
        default="lower_bound",
        show_default=True,
        help="What --tol is held against: the mean log-likelihood a row (nats), or parameters "
        "in units of the columns' standard deviations.",
    ),
    click.option(
        "--acceleration",
        type=click.Choice(("squarem",)),
        help="Extrapolate EM's steps: fewer passes where clusters overlap and --tol is small.",
    ),
    click.option(
        "--max-iter",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        help="Most passes of EM over all rows.",
    ),
    click.option(
        "--reg-covar",
        type=click.FloatRange(min=0),
        default=1e-6,
        show_default=True,
        help="Added to variances, in squared units of the data.",
    ),
    click.option(
        "--subsample",
        metavar="auto|none|N",
        type=subsample,
        default="auto",
        show_default=True,
        help="Rows on which starts are fitted first, in memory.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(("float32", "float64")),
        help="To compute in; by default the data's own.",
    ),
)


ROWS_AND_RUN = in_order(
    INPUTS,
    click.option("-o", "--output", metavar="RUN", required=True, help="Run directory to write."),
    COLUMNS,
    click.option("--weight-column", metavar="W", help="Column of the rows' weights."),
)
AFTERWARDS = in_order(
    click.option(
        "--cache",
        type=click.Choice(("auto", "memory", "disk", "none")),
        default="auto",
        show_default=True,
        help="Where decoded rows stay between passes; auto chooses from sizes.",
    ),
    FORCE,
    click.option(
        "--require-convergence", is_flag=True, help="Exit with 3 where the fit did not converge."
    ),
    click.option("--plot", "figure", metavar="FILE.png", help="Draw the result."),
    READING,
)


@click.command()
@ROWS_AND_RUN
@_MIXTURE
@METHOD
@AFTERWARDS
def fit(inputs: tuple[str, ...], **options: Any) -> None:
    """Fit a mixture of K Gaussians to the rows of INPUT and write a run directory.

    INPUT is a Parquet or CSV file, a directory or a pattern of them, or a URL. The same command
    again does nothing where its run is complete.
    """
    from daskgmm.jobs.fitting import Mixture

    carry_out(Mixture, inputs, options)


def carry_out(method: "type[Method]", paths: tuple[str, ...], options: dict[str, Any]) -> None:
    """Fit by a method, and say what came of it."""
    from daskgmm.cli.progress import progress
    from daskgmm.jobs import fitting as jobs
    from daskgmm.jobs.drawing import check_figure, plot

    figure = options["figure"]
    request = _request(method, paths, options)
    if figure is not None:
        check_figure(figure)
    watched = progress(shown=options["progress"], verb="Fitting", most=options["max_iter"])
    with watched as listener:
        outcome = jobs.fit(request, listener)
    if figure is not None:
        run = outcome.run
        plot(outcome.model, figure, inputs=request.inputs, seed=run.seed, selection=run.selection)
    _report(outcome)
    if options["require_convergence"] and not outcome.run.record["result"]["converged"]:
        raise Failure(
            "The fit did not converge, and --require-convergence was given.",
            "The run is complete all the same; go on from other options with --force.",
            Exit.NOT_CONVERGED,
        )


def _request(
    method: "type[Method]", paths: tuple[str, ...], options: dict[str, Any]
) -> "FitRequest":
    from dataclasses import fields

    from daskgmm.jobs.fitting import FitRequest

    return FitRequest(
        inputs_of(options, paths),
        options["output"],
        method(**{field.name: options[field.name] for field in fields(method)}),
        resources_of(options),
        cache=options["cache"],
        force=options["force"],
        command=typed_command(),
    )


def _report(outcome: "FitOutcome") -> None:
    from daskgmm.cli.summary import fit_summary

    if outcome.already:
        logger.info("%s is already complete: nothing was done.", outcome.run.path)
    click.echo(fit_summary(outcome))
    result = outcome.run.record["result"]
    if not result["converged"]:
        logger.warning(
            "The fit did not converge in %d passes: raise --max-iter or --tol.",
            result["n_iter"],
        )
