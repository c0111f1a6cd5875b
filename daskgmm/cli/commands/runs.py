"""The commands ``daskgmm runs list``, ``compare`` and ``prune``."""

import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from daskgmm.cli.exits import CommandFailure, Exit
from daskgmm.cli.options.shared import COMMON, JSON, STORAGE
from daskgmm.cli.options.types import Names

logger = logging.getLogger(__name__)

_PLOT = click.option("--plot", "figure", metavar="FILE.png", help="Figure to write.")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class _Runs(click.Group):
    """A group whose command is ``list`` where the first word is no command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``list`` in front of a folder or of an option of ``list``."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Runs, no_args_is_help=False)
def runs() -> None:
    """List, compare and prune the runs in a folder.

    `daskgmm runs FOLDER` is short for `daskgmm runs list FOLDER`.
    """


def age(text: str) -> timedelta:
    """A span of time from a text such as ``30d``, ``12h`` or ``4w``."""
    found = re.fullmatch(r"(\d+)([hdw])", text)
    try:
        if found is not None:
            return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        pass
    raise click.BadParameter(f"{text!r} is not an age such as 12h, 30d or 4w.")


@runs.command("list")
@click.argument("folder")
@JSON
@_PLOT
@STORAGE
@COMMON
def list_runs(
    folder: str,
    *,
    as_json: bool,
    figure: str | None,
    storage_options: tuple[tuple[str, Any], ...],
) -> None:
    """List the runs in FOLDER, the oldest first.

    FOLDER is a directory or a URL that holds run directories; only their records are read. Those
    in a store are read only once, unless they change: their figures are kept in FOLDER/.runs.json,
    or in your cache where that may not be written. A run that was killed counts as running until
    its command is run again. With --plot the models are read too: FILE shows the lower bound, the
    weights and the drift over the nights, each component followed from night to night. A night is
    the day that a run is named after, such as 2026-11-24, or else the time when it ended.
    """
    from daskgmm.cli.output.runs import list_table
    from daskgmm.jobs.history.listing import runs_in
    from daskgmm.jobs.json_values import to_json

    if figure is not None:
        from daskgmm.jobs.plotting import check_figure

        check_figure(figure)
    found = runs_in(folder, dict(storage_options))
    plain = [run.plain() for run in found]
    if figure is not None:
        from daskgmm.jobs.history.nights import nights
        from daskgmm.plotting.files import write
        from daskgmm.plotting.nights import nights as drawn

        write(drawn(nights(found)), figure)
    if not found:
        logger.info("%s holds no runs.", folder)
    for run in found:
        if run.fault is not None:
            logger.warning("%s", run.fault)
    click.echo(to_json(plain) if as_json else list_table(plain))


@runs.command()
@click.argument("models", nargs=-1, required=True, metavar="RUN RUN...")
@JSON
@_PLOT
@click.option(
    "--columns",
    cls=Names,
    metavar="A,B",
    help="One or two columns of the figure; by default those in which the components moved most.",
)
@STORAGE
@COMMON
def compare(
    models: tuple[str, ...],
    *,
    as_json: bool,
    figure: str | None,
    columns: tuple[str, ...] | None,
    storage_options: tuple[tuple[str, Any], ...],
) -> None:
    """Compare each RUN with the first.

    Prints the options that differ, the lower bounds, and for each component of the first run its
    like in the others: its weights, how far its mean is away (shift, in standard deviations of the
    first run's component), and the divergence of the two Gaussians (Jeffreys, in nats). Each RUN
    is a run directory or a model file. With --plot, FILE lays the models over the first one.
    """
    from daskgmm.cli.output.runs import comparison_text, last_part
    from daskgmm.jobs.history.comparison import compare as compared
    from daskgmm.jobs.json_values import to_json
    from daskgmm.jobs.models import find_model

    if len(models) == 1:
        raise click.UsageError("One run can't be compared: give two or more.")
    if figure is not None:
        from daskgmm.jobs.plotting import check_figure

        check_figure(figure)
    found = [find_model(name, dict(storage_options)) for name in models]
    comparison = compared(found)
    if figure is not None:
        from daskgmm.plotting.files import write
        from daskgmm.plotting.overlay import overlays

        names = [last_part(model) for model in models]
        write(overlays([model.estimator for model in found], names, columns), figure)
    click.echo(to_json(comparison) if as_json else comparison_text(comparison))


@runs.command()
@click.argument("folder")
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(min=1),
    help="Keep the N newest complete runs and whatever is newer than the oldest of them.",
)
@click.option(
    "--older-than",
    metavar="AGE",
    type=age,
    help="Keep runs that ended less than so long ago: 12h, 30d or 4w.",
)
@click.option("--yes", is_flag=True, help="Delete; otherwise the runs are only listed.")
@STORAGE
@COMMON
def prune(
    folder: str,
    *,
    keep: int | None,
    older_than: timedelta | None,
    yes: bool,
    storage_options: tuple[tuple[str, Any], ...],
) -> None:
    """Delete old runs in FOLDER.

    Lists the runs that would go, and deletes them with --yes. With both --keep and --older-than,
    only runs to which both apply go. A run that is running by its record stays, and so does any
    folder that is no run directory or holds other files too.
    """
    from daskgmm.cli.output.runs import list_table
    from daskgmm.errors import OutputError
    from daskgmm.jobs.history.listing import runs_in
    from daskgmm.jobs.history.pruning import old_runs, remove_from_index, remove_run

    if keep is None and older_than is None:
        raise click.UsageError("Say which runs go: --keep N, --older-than AGE, or both.")
    found = runs_in(folder, dict(storage_options))
    old = old_runs(found, datetime.now(UTC), keep, older_than)
    if not old:
        logger.info("None of %d runs is to be deleted.", len(found))
        return
    click.echo(list_table([run.plain() for run in old]))
    if not yes:
        logger.info("%d of %d runs would be deleted: add --yes.", len(old), len(found))
        return
    removed, failures = [], []
    for run in old:
        try:
            remove_run(run)
            removed.append(run)
        except OutputError as error:
            failures.append(error)
            logger.warning("%s", error.cause)
    remove_from_index(folder, dict(storage_options), removed)
    logger.info("%d of %d runs were deleted.", len(removed), len(found))
    if failures:
        raise CommandFailure(
            f"{len(failures)} of {len(old)} runs could not be deleted.",
            failures[0].remedy,
            Exit.NO_OUTPUT,
        )
