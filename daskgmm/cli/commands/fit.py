"""``daskgmm fit``: options of fits, and the report of a fit."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.exits import CommandFailure, Exit
from daskgmm.cli.options.declared import in_order, options_of
from daskgmm.cli.options.secrets import typed_command
from daskgmm.cli.options.shared import (
    COLUMNS,
    INPUTS,
    READING,
    REFERENCES,
    SEED,
    WEIGHTS,
    inputs_of,
)
from daskgmm.cli.options.types import Components
from daskgmm.fitting.options import MethodOptions
from daskgmm.jobs.options import BayesianOptions, FitOptions, MixtureOptions
from daskgmm.model.covariance import COVARIANCES, REGISTRY

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture
    from daskgmm.jobs.models import SavedModel

logger = logging.getLogger(__name__)

_STARTS = "Try --n-init 10, or --init random."


_FORMS = ", ".join(f"{name} ({entry.summary})" for name, entry in REGISTRY.items())
MIXTURE = in_order(
    click.option(
        "-k",
        "--components",
        metavar="K",
        type=Components(),
        required=True,
        help="Number of components.",
    ),
    click.option(
        "--covariance",
        type=click.Choice(tuple(COVARIANCES)),
        default="full",
        show_default=True,
        help=f"Form of the covariances: {_FORMS}.",
    ),
)
METHOD = options_of(MethodOptions)
FIXED = options_of(MixtureOptions, ["fix", "fix_from"])
ROWS_AND_RUN = in_order(
    INPUTS,
    click.option(
        "-o", "--output", metavar="RUN", required=True, help="Run directory or URL to write."
    ),
    COLUMNS,
    WEIGHTS,
)
AFTERWARDS = in_order(
    REFERENCES,
    options_of(FitOptions, ["max_missing", "cache", "resume", "force"]),
    click.option(
        "--require-convergence", is_flag=True, help="Exit with 3 if the fit does not converge."
    ),
    click.option("--plot", "figure", metavar="FILE.png", help="Figure of the result to write."),
    SEED,
    READING,
)


@click.command()
@ROWS_AND_RUN
@MIXTURE
@options_of(BayesianOptions)
@METHOD
@FIXED
@AFTERWARDS
def fit(inputs: tuple[str, ...], **options: Any) -> None:
    """Fit a mixture of K Gaussians to the rows of INPUT.

    INPUT is a file, a directory, a pattern of file names or a URL: Parquet, CSV, npy, Zarr, HDF5,
    or a table of Delta or Iceberg. The model and a record of the fit are written to RUN, a
    directory or a URL. Running the same command again continues an unfinished run, and does
    nothing once the run is complete.
    """
    from daskgmm import jobs

    fit_and_report(jobs.fit, inputs, options)


def fit_and_report(
    job: Callable[..., dict[str, Any]], inputs: tuple[str, ...], options: dict[str, Any]
) -> None:
    """Run a job that fits, and print its summary."""
    from daskgmm.cli.output.progress import progress
    from daskgmm.jobs.models import find_model
    from daskgmm.jobs.plotting import check_figure
    from daskgmm.monitoring.forecast import Forecast

    figure, strict = options.pop("figure"), options.pop("require_convergence")
    if figure is not None:
        check_figure(figure)
    options["storage_options"] = dict(options["storage_options"])
    shown = options.pop("progress")
    forecast = Forecast(options["tol"], options["max_iter"], options.get("criterion", "bic"))
    with progress(shown=shown, verb="Fitting", forecast=forecast) as listener:
        record = job(inputs, listener=listener, command=typed_command(), **options)
    model = find_model(record["run"], options["storage_options"])
    if figure is not None:
        _draw(model, figure, inputs, options)
    _report(record, model.estimator)
    if strict and not record["result"]["converged"]:
        raise CommandFailure(
            "The fit did not converge, and --require-convergence was given.",
            "The run is complete. Fit again with other options and --force.",
            Exit.NOT_CONVERGED,
        )


def _draw(
    model: "SavedModel", figure: str, inputs: tuple[str, ...], options: dict[str, Any]
) -> None:
    from daskgmm.jobs.plotting import plot

    run = model.run
    assert run is not None  # noqa: S101  the job has just made it
    rows = inputs_of(options, inputs)
    plot(model.estimator, figure, inputs=rows, seed=run.seed, selection=run.selection)


def _report(record: dict[str, Any], estimator: "GaussianMixture") -> None:
    from daskgmm.cli.output.tables import fit_summary
    from daskgmm.estimators.candidates import shortfall_warning, shortfalls

    if record["already"]:
        logger.info("%s is already complete: nothing was done.", record["run"])
    click.echo(fit_summary(record, estimator))
    result = record["result"]
    if not result["converged"]:
        logger.warning(
            "The fit did not converge in %d pass%s: raise --max-iter or --tol.",
            result["n_iter"],
            "es" * (result["n_iter"] != 1),
        )
    _warn_of_components(result, estimator)
    if "candidates" in result and (
        found := shortfalls(result["candidates"], result["best"], estimator.tol)
    ):
        logger.warning(shortfall_warning(found, _STARTS))


def _warn_of_components(result: dict[str, Any], estimator: "GaussianMixture") -> None:
    """Log the oddities of components, unless EM has not converged."""
    from daskgmm.fitting.checks import odd_components

    if result["converged"]:
        for text in odd_components(estimator):
            logger.warning("%s See `daskgmm show`.", text)
