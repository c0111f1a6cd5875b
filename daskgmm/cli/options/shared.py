"""Options that several commands share, and the values made of them."""

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from daskgmm.cli.options.declared import in_order, options_of
from daskgmm.cli.options.names import long_name
from daskgmm.cli.options.sources import take_from_file
from daskgmm.cli.output import logs
from daskgmm.fitting.options import declared
from daskgmm.jobs.cluster.options import (
    ClusterOptions,
    SchedulerOptions,
    SizeOptions,
    WorkplaceOptions,
)
from daskgmm.jobs.options import (
    ColumnOptions,
    FitOptions,
    FormatOptions,
    ReferenceOptions,
    StorageOptions,
    WeightOptions,
    build,
)

if TYPE_CHECKING:
    from daskgmm.jobs.cluster.resources import Resources
    from daskgmm.jobs.inputs import Inputs

COLUMNS = options_of(ColumnOptions)
WEIGHTS = options_of(WeightOptions)
FORMAT = options_of(FormatOptions)
STORAGE = options_of(StorageOptions)
REFERENCES = options_of(ReferenceOptions)
FORCE = options_of(FitOptions, ["force"])
SEED = options_of(FitOptions, ["seed"])
SCHEDULER = options_of(SchedulerOptions)
SIZES = options_of(SizeOptions)
RESOURCES = in_order(
    SCHEDULER,
    SIZES,
    options_of(WorkplaceOptions),
)
RESOURCE_NAMES = tuple(set(declared(ClusterOptions)) - {"wait_for_workers", "worker_timeout"})
"""Parameters of `RESOURCES` that need rows to read."""

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
CONFIG = click.option(
    "--config",
    metavar="FILE.toml",
    type=click.Path(exists=True, dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=take_from_file,
    help="File of options by their long names: common ones at the top, others in a table named "
    "after the command. Variables such as DASKGMM_SEED override it, and the command line "
    "overrides both.",
)
LOG_FORMAT = click.option(
    "--log-format",
    type=click.Choice(logs.FORMATS),
    default="text",
    show_default=True,
    is_eager=True,
    expose_value=False,
    callback=lambda _context, _option, value: logs.set_format(value),
    help="Format of messages on standard error; json writes one line per event.",
)
LOG_LEVEL = click.option(
    "--log-level",
    type=click.Choice(logs.LEVELS),
    default="info",
    show_default=True,
    is_eager=True,
    expose_value=False,
    callback=lambda _context, _option, value: logs.set_level(value),
    help="Lowest level of messages to show; debug also shows tracebacks.",
)
COMMON = in_order(CONFIG, LOG_FORMAT, LOG_LEVEL)
"""Options of every command; the file comes first because it may set the others."""

PROGRESS = click.option(
    "--progress/--no-progress", default=True, help="Show the job's progress.", show_default=True
)
READING = in_order(FORMAT, STORAGE, RESOURCES, PROGRESS, COMMON)
"""Options of commands that read rows."""


def in_natural_order(_: click.Context, __: click.Parameter, paths: tuple[str, ...]) -> Any:
    """Sort paths with numbers by value: a shell sorts the files of its patterns otherwise."""
    from daskgmm.data.files.listing import natural_order

    return tuple(sorted(paths, key=natural_order))


INPUTS = click.argument(
    "inputs", nargs=-1, required=True, metavar="INPUT...", callback=in_natural_order
)
MODEL = click.argument("model")


def refuse_without_inputs(*names: str) -> None:
    """Refuse options for reading rows on a command line without INPUT.

    Those in a file or variable may be meant for other commands.
    """
    context = click.get_current_context()
    for param in context.command.params:
        typed = context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        if param.name in names and typed:
            raise click.UsageError(f"--{long_name(param)} is about reading rows: give INPUT.")


def inputs_of(options: dict[str, Any], paths: tuple[str, ...]) -> "Inputs":
    """The rows that the options describe."""
    from daskgmm.jobs.inputs import Inputs

    return Inputs.of(paths, options)


def resources_of(options: dict[str, Any]) -> "Resources":
    """The cluster that the options describe."""
    from daskgmm.jobs.cluster.resources import Resources

    return build(Resources, options)
