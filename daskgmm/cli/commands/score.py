"""The command ``daskgmm score``."""

from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.exits import CommandFailure, Exit
from daskgmm.cli.options.shared import (
    COLUMNS,
    INPUTS,
    JSON,
    MODEL,
    READING,
    WEIGHTS,
    inputs_of,
    resources_of,
)
from daskgmm.cli.options.types import Threshold

if TYPE_CHECKING:
    from daskgmm.jobs.scoring import Scores


@click.command()
@MODEL
@INPUTS
@JSON
@click.option(
    "--fail-below",
    metavar="X",
    type=Threshold(),
    help="Smallest acceptable mean log-likelihood in nats per row; below it the exit code is 3.",
)
@COLUMNS
@WEIGHTS
@READING
def score(
    model: str,
    inputs: tuple[str, ...],
    *,
    as_json: bool,
    fail_below: float | None,
    **options: Any,
) -> None:
    """Print how well MODEL fits the rows of INPUT.

    The result is the mean log-likelihood and the criteria AIC, BIC and ICL, of which lower values
    are better; with --fail-below also whether the log-likelihood passed that threshold. MODEL is a
    run directory or a model file.
    """
    from dataclasses import asdict

    from daskgmm.cli.output.progress import progress
    from daskgmm.jobs import scoring as jobs
    from daskgmm.jobs.json_values import to_json
    from daskgmm.jobs.models import find_model

    rows, resources = inputs_of(options, inputs), resources_of(options)
    found = find_model(model, dict(rows.storage_options))
    with progress(shown=options["progress"], verb="Scoring") as listener:
        run_id = found.identity()["run_id"]
        scores = jobs.run_score(found.fitted, rows, resources, listener, run_id)
    least = {} if fail_below is None else {"fail_below": fail_below}
    click.echo(to_json(asdict(scores) | least) if as_json else _text(scores, fail_below))
    _require(scores.mean_log_likelihood, fail_below)


def _text(scores: "Scores", fail_below: float | None) -> str:
    from daskgmm.cli.output.tables import facts_table

    facts = {
        "rows": f"{scores.rows:,}",
        "mean log-likelihood": f"{scores.mean_log_likelihood:.6f} nats a row",
        "AIC": f"{scores.aic:.2f}",
        "BIC": f"{scores.bic:.2f}",
        "ICL": f"{scores.icl:.2f}",
    }
    if fail_below is not None:
        outcome = "passed" if scores.mean_log_likelihood >= fail_below else "not passed"
        facts["threshold"] = f"{fail_below:g} nats a row, {outcome}"
    return facts_table(facts)


def _require(found: float, least: float | None) -> None:
    if least is not None and not found >= least:  # NaN fails too
        raise CommandFailure(
            f"The mean log-likelihood is {found:.6g} nats a row, below {least:g}.",
            "Look at the rows, fit the model anew, or ask for less with --fail-below.",
            Exit.TOO_LOW,
        )
