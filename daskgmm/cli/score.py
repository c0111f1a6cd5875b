"""``daskgmm score``."""

from typing import Any

import click

from daskgmm.cli.options import (
    COLUMNS,
    INPUTS,
    JSON,
    MODEL,
    READING,
    inputs_of,
    resources_of,
)


@click.command()
@MODEL
@INPUTS
@JSON
@COLUMNS
@READING
def score(model: str, inputs: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Tell how well MODEL fits the rows of INPUT: the lower a criterion, the better.

    MODEL is a run directory or a model file.
    """
    from dataclasses import asdict

    from daskgmm.cli.progress import progress
    from daskgmm.cli.summary import facts_table
    from daskgmm.jobs import scoring as jobs
    from daskgmm.jobs.models import find_model
    from daskgmm.jobs.plain import to_json

    rows, resources = inputs_of(options, inputs), resources_of(options)
    estimator = find_model(model, dict(rows.storage_options)).estimator
    with progress(shown=options["progress"], verb="Scoring") as listener:
        scores = jobs.evaluate(estimator, rows, resources, listener)
    if as_json:
        click.echo(to_json(asdict(scores)))
        return
    facts = {
        "rows": f"{scores.rows:,}",
        "mean log-likelihood": f"{scores.mean_log_likelihood:.6f} nats a row",
        "AIC": f"{scores.aic:.6f}",
        "BIC": f"{scores.bic:.6f}",
        "ICL": f"{scores.icl:.6f}",
    }
    click.echo(facts_table(facts))
