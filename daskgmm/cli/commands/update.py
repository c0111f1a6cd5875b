"""The command ``daskgmm update``."""

import logging
from collections.abc import Mapping
from typing import Any

import click

from daskgmm.cli.options.declared import options_of
from daskgmm.cli.options.secrets import typed_command
from daskgmm.cli.options.shared import (
    COLUMNS,
    FORCE,
    INPUTS,
    JSON,
    READING,
    REFERENCES,
    WEIGHTS,
)
from daskgmm.cli.options.types import Number
from daskgmm.jobs.options import UpdateOptions

logger = logging.getLogger(__name__)

_WORDS = """\
shift: from the old mean to that of the new rows, and to the new mean, in old standard deviations
divergence: of the new component from the old one (Jeffreys); 0 for equal ones"""

_REPORTED = ("run", "already", "run_id", "updated_from", "forgetting", "result", "drift")


@click.command()
@click.argument("run")
@INPUTS
@click.option(
    "-o", "--output", metavar="RUN2", required=True, help="Run directory or URL to write."
)
@click.option(
    "--forgetting",
    metavar="X",
    type=Number(0, 1),
    default=1.0,
    show_default=True,
    help="Factor for the weight of the earlier rows: 1 keeps them in full, 0 drops them.",
)
@JSON
@REFERENCES
@COLUMNS
@WEIGHTS
@options_of(UpdateOptions, ["missing", "max_missing", "fail_below_difference"])
@FORCE
@READING
def update(run: str, inputs: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Update the model of RUN with new rows of INPUT.

    This makes one EM step in one pass over the new rows; sufficient statistics in RUN stand for
    the earlier rows. The new model is written to RUN2, a directory or a URL. RUN may also be a
    model file. Running the same command again does nothing once RUN2 is complete.

    The command prints how far the new rows have drifted from the old model. The difference is
    the mean log-likelihood of the new rows under the old model less its bound before, in nats per
    row: about 0 for rows like the earlier ones, below 0 for rows that fit worse. For each component
    the shift is the distance from its old mean, to the mean of its new rows or to its new mean, in
    its old standard deviations (Mahalanobis); the divergence is that of the new component from the
    old one, in nats (Jeffreys).
    """
    from daskgmm import jobs
    from daskgmm.cli.output.progress import progress
    from daskgmm.jobs.json_values import to_json

    options["storage_options"] = dict(options["storage_options"])
    with progress(shown=options.pop("progress"), verb="Updating with") as listener:
        record = jobs.update(run, inputs, listener=listener, command=typed_command(), **options)
    if record["already"]:
        logger.info("%s is already complete: nothing was done.", record["run"])
    report = {name: record[name] for name in _REPORTED}
    click.echo(to_json(report) if as_json else _text(report))


def _text(report: Mapping[str, Any]) -> str:
    from daskgmm.cli.output.tables import dropped_rows, facts_table, table

    drift, result = report["drift"], report["result"]
    facts = {
        "new rows": f"{result['rows']:,}",
        **dropped_rows(result),
        "rows seen": f"{result['rows_seen']:,}, which count {result['weight']:,.6g}",
        "log-likelihood": _nats(drift["mean_log_likelihood"]),
        "bound before": _nats(drift["lower_bound_before"]),
        "difference": f"{_nats(drift['difference'])}{_better_or_worse(drift['difference'])}",
        "updated from": report["updated_from"]["run_id"] or report["updated_from"]["model_sha256"],
        "run": report["run"],
    }
    return f"{table(_rows(drift['components']))}\n{_WORDS}\n\n{facts_table(facts)}"


def _nats(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6f} nats a row"


def _better_or_worse(difference: float | None) -> str:
    if difference is None:
        return ""
    return f" (new rows fit {'worse' if difference < 0 else 'no worse'} than the earlier ones)"


def _rows(components: list[dict[str, Any]]) -> list[list[str]]:
    titles = ["component", "weight", "of new rows", "after", "shift of new rows (sd)"]
    rows = [[*titles, "shift (sd)", "divergence (nats)"]]
    for k, one in enumerate(components):
        weights = (one["weight_before"], one["weight_of_new_rows"], one["weight_after"])
        moves = (one["shift_of_new_rows"], one["shift"], one["divergence"])
        shown = ["-" if move is None else f"{move:.4g}" for move in moves]
        rows.append([str(k), *(f"{weight:.4f}" for weight in weights), *shown])
    return rows
