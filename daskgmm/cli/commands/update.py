"""``daskgmm update``."""

import logging
from collections.abc import Mapping
from typing import Any

import click

from daskgmm.cli.options.secrets import typed_command
from daskgmm.cli.options.shared import COLUMNS, FORCE, INPUTS, JSON, READING, WEIGHTS
from daskgmm.cli.options.types import Number

logger = logging.getLogger(__name__)

_TOLD = ("run", "already", "run_id", "updated_from", "forgetting", "result", "drift")


@click.command()
@click.argument("run")
@INPUTS
@click.option(
    "-o", "--output", metavar="RUN2", required=True, help="Run directory to write, or a URL."
)
@click.option(
    "--forgetting",
    type=Number(0, 1),
    default=1.0,
    show_default=True,
    help="What the rows before are to count still: 1 keeps all, 0 none.",
)
@JSON
@COLUMNS
@WEIGHTS
@FORCE
@READING
def update(run: str, inputs: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Refresh the model of RUN with the new rows of INPUT.

    RUN2, a run directory, is written with the new model. That takes one step of EM, in one pass
    over the new rows; all others are remembered by RUN's sufficient statistics. Tells how far the
    new rows have drifted from what RUN's model expects. RUN may be a model file too. The same
    command again does nothing where RUN2 is complete.
    """
    from daskgmm import jobs
    from daskgmm.cli.output.progress import progress
    from daskgmm.jobs.json_values import to_json

    options["storage_options"] = dict(options["storage_options"])
    with progress(shown=options.pop("progress"), verb="Updating with") as listener:
        record = jobs.update(run, inputs, listener=listener, command=typed_command(), **options)
    if record["already"]:
        logger.info("%s is already complete: nothing was done.", record["run"])
    told = {name: record[name] for name in _TOLD}
    click.echo(to_json(told) if as_json else _text(told))


def _text(told: Mapping[str, Any]) -> str:
    from daskgmm.cli.output.tables import facts_table, table

    drift, result = told["drift"], told["result"]
    facts = {
        "new rows": f"{result['rows']:,}",
        "rows seen": f"{result['rows_seen']:,}, which count {result['weight']:,.6g}",
        "log-likelihood": _nats(drift["mean_log_likelihood"]),
        "bound before": _nats(drift["lower_bound_before"]),
        "difference": _nats(drift["difference"]),
        "updated from": told["updated_from"]["run_id"] or told["updated_from"]["model_sha256"],
        "run": told["run"],
    }
    return f"{table(_rows(drift['components']))}\n\n{facts_table(facts)}"


def _nats(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6f} nats a row"


def _rows(components: list[dict[str, Any]]) -> list[list[str]]:
    titles = ["component", "weight", "of new rows", "after", "shift of new rows", "shift"]
    rows = [[*titles, "divergence"]]
    for k, one in enumerate(components):
        weights = (one["weight_before"], one["weight_of_new_rows"], one["weight_after"])
        moves = (one["shift_of_new_rows"], one["shift"], one["divergence"])
        shown = ["-" if move is None else f"{move:.4g}" for move in moves]
        rows.append([str(k), *(f"{weight:.4f}" for weight in weights), *shown])
    return rows
