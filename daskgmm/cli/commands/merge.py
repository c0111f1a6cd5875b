"""The command ``daskgmm merge``."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import click

from daskgmm.cli.options.declared import options_of
from daskgmm.cli.options.secrets import typed_command
from daskgmm.cli.options.shared import (
    COLUMNS,
    FORCE,
    JSON,
    MODEL,
    READING,
    RESOURCE_NAMES,
    WEIGHTS,
    in_natural_order,
    refuse_without_inputs,
)
from daskgmm.jobs.options import MergeOptions

logger = logging.getLogger(__name__)

_REPORTED = ("run", "already", "run_id", "merged_from", "criterion", "clusters", "path")


@click.command()
@MODEL
@click.argument("inputs", nargs=-1, metavar="[INPUT...]", callback=in_natural_order)
@click.option("-o", "--output", metavar="RUN", required=True, help="Run directory or URL to write.")
@options_of(MergeOptions, ["clusters"])
@JSON
@COLUMNS
@WEIGHTS
@FORCE
@READING
def merge(model: str, inputs: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Join the components of MODEL into clusters.

    With INPUT, the pair whose union leaves the least doubt about the labels of its rows is joined,
    again and again (Baudry et al., 2010), in one pass. Without INPUT, the pair that overlaps most
    is joined, and no row is read.
    `daskgmm predict RUN` then labels rows by cluster. MODEL is a run directory or a model file.
    Running the same command again does nothing once RUN is complete.
    """
    from daskgmm import jobs
    from daskgmm.cli.output.progress import progress
    from daskgmm.jobs.json_values import to_json

    if not inputs:
        refuse_without_inputs("columns", "weight_column", "format", "where", *RESOURCE_NAMES)
    options["storage_options"] = dict(options["storage_options"])
    output = options.pop("output")
    with progress(shown=options.pop("progress"), verb="Merging by") as listener:
        record = jobs.merge(
            model, output, inputs, listener=listener, command=typed_command(), **options
        )
    if record["already"]:
        logger.info("%s is already complete: nothing was done.", record["run"])
    report = {name: record[name] for name in _REPORTED}
    click.echo(to_json(report) if as_json else _text(report))


def _text(report: Mapping[str, Any]) -> str:
    from daskgmm.cli.output.tables import facts_table, table

    name = "entropy" if report["criterion"] == "entropy" else "distance"
    rows = [["clusters", "joined", f"{name} (nats)"]]
    for step in report["path"]:
        pair = " + ".join(f"({', '.join(map(str, one))})" for one in step["joined"])
        value = step[name]
        rows.append([str(step["n_clusters"]), pair, "-" if value is None else f"{value:.6f}"])
    facts = {"clusters": clusters_in_words(report["clusters"]), "run": report["run"]}
    return f"{table(rows)}\n\n{facts_table(facts)}"


def clusters_in_words(clusters: Sequence[int]) -> str:
    """Each cluster's components, such as ``0: 0, 3; 1: 1``."""
    members = (
        f"{c}: {', '.join(str(k) for k, own in enumerate(clusters) if own == c)}"
        for c in range(max(clusters) + 1)
    )
    return "; ".join(members)
