"""The command ``daskgmm export``."""

from typing import Any

import click

from daskgmm.cli.options.shared import COMMON, MODEL, STORAGE
from daskgmm.cli.options.types import Names


@click.command()
@MODEL
@click.option("-o", "--output", metavar="FILE", required=True, help="File to write.")
@click.option(
    "--to",
    type=click.Choice(["sql", "onnx"]),
    help="Language; by default that of the ending of FILE.",
)
@click.option("--table", metavar="TABLE", help="Table of the SELECT, as its dialect writes it.")
@click.option(
    "--dialect",
    type=click.Choice(["duckdb", "spark", "bigquery", "snowflake", "postgres"]),
    help="Dialect of the SELECT; by default duckdb.",
)
@click.option(
    "--columns",
    cls=Names,
    metavar="A,B,...",
    help="Columns of the table in the order of the fit's, if they have other names.",
)
@STORAGE
@COMMON
def export(
    model: str,
    output: str,
    to: str | None,
    table: str | None,
    storage_options: tuple[tuple[str, Any], ...],
    **options: Any,
) -> None:
    """Write MODEL as one SELECT of SQL, or as an ONNX model.

    Both give each row its label, probabilities and log-density. MODEL is a run directory or a
    model file.
    """
    from daskgmm.jobs import exporting as jobs

    language = to or ("sql" if output.lower().endswith(".sql") else None)
    given = {name: value for name, value in options.items() if value is not None}
    if language == "sql":
        if table is None:
            raise click.UsageError("SQL needs a table: --table TABLE.")
        given["table"] = table
        given.setdefault("dialect", "duckdb")
        given.setdefault("columns", None)
    elif table is not None or given:
        raise click.UsageError("--table, --dialect and --columns are for SQL: --to sql.")
    jobs.export(model, output, to, dict(storage_options), **given)
    click.echo(output)
