"""The command ``daskgmm plan``."""

from collections.abc import Mapping
from typing import Any

import click

from daskgmm.cli.commands.fit import MIXTURE
from daskgmm.cli.options.declared import in_order, options_of
from daskgmm.cli.options.shared import (
    COLUMNS,
    COMMON,
    FORMAT,
    JSON,
    SIZES,
    STORAGE,
    WEIGHTS,
    refuse_without_inputs,
)
from daskgmm.jobs.options import PlanOptions


def _number(text: str) -> float:
    """A number, also as 1e9 or 1_000_000."""
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number.") from None


_ROWS = in_order(
    click.argument("inputs", nargs=-1, metavar="[INPUT...]"),
    click.option(
        "--rows", metavar="N", type=_number, help="Number of rows, such as 1e9, in place of INPUT."
    ),
    click.option(
        "--features",
        metavar="D",
        type=click.IntRange(min=1),
        help="Number of columns; with --rows only.",
    ),
    COLUMNS,
    WEIGHTS,
    FORMAT,
    STORAGE,
)


@click.command()
@_ROWS
@MIXTURE
@options_of(PlanOptions, ["n_init", "subsample", "refine", "dtype"])
@JSON
@SIZES
@COMMON
def plan(inputs: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Estimate the time and memory of a fit of INPUT or of N rows.

    Tasks, blocks and memory are computed by the fit's own code; only the metadata of INPUT is
    read. Times are extrapolated from a few short passes over generated rows, whose clusters lie
    apart, and from steps of a search for starts, on one thread of this machine, plus the measured
    overhead of a scheduler. They do not include reading the rows, nor waiting for cores that others
    use. The search for starts is as long as it usually is for such rows.

    With --rows the rows need not exist yet. They are assumed to be Parquet in row groups of
    1,048,576 rows, as Arrow writes it, of type float64 or --dtype.

    Without --workers and --memory-limit the cluster is the one that fit would start here. The
    cheapest cluster has the fewest such workers that hold all rows in memory, each only as large
    as necessary.
    """
    from daskgmm import jobs
    from daskgmm.jobs.json_values import to_json

    if not inputs:
        refuse_without_inputs("columns", "weight_column", "format", "where", "storage_options")
    options["storage_options"] = dict(options["storage_options"])
    found = jobs.plan(inputs, **options)
    click.echo(to_json(found) if as_json else _text(found))


def _text(found: Mapping[str, Any]) -> str:
    from daskgmm.cli.output.tables import facts_table

    return facts_table(_passes(found) | _here(found) | _cheapest(found["cheapest"]))


def _passes(found: Mapping[str, Any]) -> dict[str, str]:
    from dask.utils import format_bytes

    least, most = found["passes_seen"]
    return {
        "rows": f"{found['rows']:,} of {_many(found['features'], 'column')}: "
        f"{format_bytes(found['data_bytes'])} decoded",
        "parts": f"{found['parts']:,}, the largest of {found['rows_a_part']:,} rows",
        "block": f"{found['rows_a_block']:,} rows, which a task reads at a time",
        "starts": f"{found['starts_a_pass']} of {found['n_init']} share the passes",
        "passes": f"usually {found['passes']}; {least} to {most} seen with the defaults, more with "
        f"a smaller --tol, at most {found['passes_at_most']}",
    }


def _here(found: Mapping[str, Any]) -> dict[str, str]:
    from dask.utils import format_bytes

    from daskgmm.passes.memory import TARGET

    enough = "as these have" if found["rows_in_memory"] else "more than these have"
    least, peak, in_memory, limit, client = (
        format_bytes(found[f"memory_{name}_bytes"])
        for name in ("a_worker", "a_worker_peak", "a_worker_in_memory", "limit", "client")
    )
    workers = f"{_many(found['workers'], 'worker')} of {_many(found['threads'], 'thread')}"
    few = "in this process, for the rows are few; what follows is for --workers"
    return {
        "place": few if found["in_this_process"] else f"on an embedded cluster of {workers}",
        "workers": f"{workers}, each with {limit} of memory",
        "memory a worker": f"up to {peak} without rows, so a limit of {least} at least: Dask "
        f"writes to disk beyond {TARGET:.0%} of it",
        "with all rows": f"{in_memory} a worker, for all to stay in memory: {enough}",
        "this process": f"up to {client} beside the workers, with the scheduler and a checkpoint",
        "tasks a pass": f"{found['tasks_a_pass']:,} of about {found['rows_a_task']:,} rows; "
        f"{found['sums_a_pass']:,} more add up what they find",
        "rate": f"{found['rows_a_second_a_thread']:,.0f} rows a second on a thread of this machine",
        "a pass": f"{_seconds(found['seconds_a_pass'])} with rows in memory; reading comes on top",
        "the starts": f"{_seconds(found['seconds_of_starts'])} on "
        f"{_many(found['search_threads'], 'thread')}, for "
        f"{_many(found['starts_sought'], 'clustering')} of {found['sample_rows']:,} sampled rows, "
        "and EM on them",
        "a fit": f"{_seconds(found['seconds'])} for the starts and the usual passes",
    }


def _cheapest(found: Mapping[str, Any] | None) -> dict[str, str]:
    from dask.utils import format_bytes

    if found is None:
        return {"cheapest cluster": "none: workers of this limit have no memory left for rows"}
    each, together = (format_bytes(found[key]) for key in ("memory_a_worker_bytes", "memory_bytes"))
    return {
        "cheapest cluster": f"{_many(found['workers'], 'worker')} of {each}, {together} together, "
        "hold all rows in memory",
        "a fit there": f"{_seconds(found['seconds'])}, {_seconds(found['seconds_a_pass'])} a pass",
    }


def _seconds(value: float) -> str:
    """A duration in seconds, and in larger units if it is long."""
    from dask.utils import format_time

    number = f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"
    return number if value < 600 else f"{number} ({format_time(value)})"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"
