"""The command ``daskgmm adapt``."""

import logging
from typing import Any

import click

from daskgmm.cli.options.declared import options_of
from daskgmm.cli.options.secrets import typed_command
from daskgmm.cli.options.shared import COLUMNS, FORCE, INPUTS, MODEL, READING, WEIGHTS
from daskgmm.jobs.options import AdaptOptions

logger = logging.getLogger(__name__)


@click.command()
@MODEL
@INPUTS
@click.option("-o", "--output", metavar="RUN", required=True, help="Run directory or URL to write.")
@options_of(AdaptOptions, ["relevance"])
@COLUMNS
@WEIGHTS
@FORCE
@READING
def adapt(model: str, inputs: tuple[str, ...], **options: Any) -> None:
    """Move the means of MODEL towards the rows of INPUT.

    The more of the rows a component has, the further its mean moves; weights and covariances
    stay. MODEL is a run directory or a model file. Running the same command again does nothing
    once RUN is complete.
    """
    from daskgmm import jobs
    from daskgmm.cli.output.progress import progress
    from daskgmm.cli.output.tables import facts_table

    options["storage_options"] = dict(options["storage_options"])
    output = options.pop("output")
    with progress(shown=options.pop("progress"), verb="Adapting to") as listener:
        record = jobs.adapt(
            model, inputs, output, listener=listener, command=typed_command(), **options
        )
    if record["already"]:
        logger.info("%s is already complete: nothing was done.", record["run"])
    facts = {"rows": f"{record['result']['rows']:,}", "run": record["run"]}
    click.echo(facts_table(facts))
