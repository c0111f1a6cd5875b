"""The command ``daskgmm watch``."""

import logging
from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.exits import CommandFailure, Exit, code_for
from daskgmm.cli.options.shared import COMMON, JSON, SCHEDULER, resources_of

if TYPE_CHECKING:
    from daskgmm.jobs.watching import Watching
    from daskgmm.monitoring.follow import News
    from daskgmm.monitoring.history import FitHistory

logger = logging.getLogger(__name__)


@click.command()
@SCHEDULER
@click.option(
    "--run",
    "wanted",
    metavar="ID",
    help="Run id of the fit, or its first characters; by default the newest running fit.",
)
@click.option("--once", is_flag=True, help="Print the state of the known fits and exit.")
@JSON
@COMMON
def watch(wanted: str | None, *, once: bool, as_json: bool, **options: Any) -> None:
    """Follow a fit on a running cluster from another terminal.

    The fit may be running already; if none is, the command waits for one. It ends with the fit:
    with exit code 0, or with the code of the fit's failure; with 75 if the fit was interrupted or
    its process is gone.
    """
    from daskgmm.jobs.watching import watching

    if options["scheduler"] is None:
        raise click.UsageError("Give the scheduler of the fit: --scheduler ADDRESS|FILE.")
    try:
        with watching(resources_of(options), wanted) as fits:
            if once:
                _print_known(fits, wanted, as_json=as_json)
            else:
                _require_success(_follow(fits, wanted, as_json=as_json))
    except KeyboardInterrupt as error:
        remedy = "Fits go on whether they are watched or not."
        raise CommandFailure("Interrupted.", remedy, code_for(type(error))) from error


def _print_known(fits: "Watching", wanted: str | None, *, as_json: bool) -> None:
    from daskgmm.cli.output.watch import as_line, runs_table

    runs = fits.follower.runs
    if not runs and wanted is not None:
        raise CommandFailure(
            f"No fit of a run {wanted} is known there.",
            "Leave out --run to see those that are.",
            Exit.NO_INPUT,
        )
    if as_json:
        for run in reversed(runs):
            for event in fits.follower.events(run):
                click.echo(as_line(event))
    elif runs:
        click.echo(runs_table(runs))
    else:
        logger.info("No fit is known there.")


def _follow(fits: "Watching", wanted: str | None, *, as_json: bool) -> "FitHistory":
    from daskgmm.cli.output.watch import shown

    run = None
    with shown(as_json=as_json) as tell:
        for news in fits.news():
            _log_news(news, wanted)
            tell(news)
            run = news.run
    assert run is not None  # noqa: S101  the news end with a run
    return run


def _log_news(news: "News", wanted: str | None) -> None:
    """Log that no fit is there yet, or that others go on."""
    if news.run is None:
        logger.info("Waiting for a fit%s.", "" if wanted is None else f" of run {wanted}")
    elif news.others:
        others = ", ".join(run.run_id for run in news.others)
        logger.info("Following run %s. Others go on: %s.", news.run.run_id, others)


def _require_success(run: "FitHistory") -> None:
    """Raise CommandFailure unless the fit ended well."""
    from daskgmm import errors
    from daskgmm.cli.output.watch import WELL, end_line
    from daskgmm.monitoring.history import LOST
    from daskgmm.monitoring.observer import Reason

    if run.state in WELL:
        return
    if run.state in (Reason.INTERRUPTED.value, LOST):
        remedy = "Run the fit again: with a checkpoint it goes on from there."
        raise CommandFailure(end_line(run), remedy, Exit.TRY_AGAIN)
    kind = vars(errors).get(str(run.ending.get("error")))
    remedy = f"Look at the process that made it, on {run.about.get('host', 'its machine')}."
    raise CommandFailure(
        end_line(run), remedy, code_for(kind if isinstance(kind, type) else Exception)
    )
