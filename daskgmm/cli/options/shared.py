"""Options that several commands share, and what they turn into."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from daskgmm.cli.options import secrets
from daskgmm.cli.options.names import long_name
from daskgmm.cli.options.sources import take_from_file
from daskgmm.cli.options.types import Names, Pairs
from daskgmm.cli.output import logs

if TYPE_CHECKING:
    from daskgmm.jobs.cluster.resources import Resources
    from daskgmm.jobs.inputs import Inputs

F = TypeVar("F", bound=Callable[..., Any])


def key_value(text: str) -> tuple[str, Any]:
    """A name and a value, which may be a JSON object, list, true, false or null."""
    key, sign, value = text.partition("=")
    if not (key and sign):
        # Without the text: it may be a password.
        raise click.BadParameter("it is not of the form KEY=VALUE.")
    plain = _plain_value(value)
    secrets.remember(key, plain)
    return key, plain


def _plain_value(text: str) -> Any:
    """Numbers stay text: a key of digits only is still a key."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, int | float) and not isinstance(value, bool) else value


def in_order(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator of several; the first comes first in the help."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


COLUMNS = click.option(
    "--columns",
    cls=Names,
    metavar="A,B",
    help="Columns to use, in this order; those of arrays by position, from 0. May be given again, "
    "and adds. A name that holds a comma goes in double quotes: 'a,\"speed, m/s\"'.",
)
FORMAT = click.option("--format", help="Of the inputs, where their names don't tell it.")
STORAGE = click.option(
    "--storage-option",
    "storage_options",
    cls=Pairs,
    metavar="KEY=VALUE",
    type=key_value,
    multiple=True,
    help="For the stores that URLs name, such as anon=true; may be given again, and adds to those "
    "of a file or variable.",
)
WHERE = click.option(
    "--where",
    metavar="KEY=VALUE",
    multiple=True,
    help="Read directories named KEY=VALUE only, also with != < <= > >=; may be given again, "
    "and then all must hold.",
)
DELIMITER = click.option(
    "--delimiter",
    metavar="CHARACTER",
    help="Between the values of CSV files, where their first lines don't tell it: ';', or '\\t' "
    "for a tab.",
)
FORCE = click.option("--force", is_flag=True, help="Replace an output that exists.")
JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")

SCHEDULER = in_order(
    click.option(
        "--scheduler",
        metavar="ADDRESS|FILE",
        help="A running Dask scheduler, or the file with its address.",
    ),
    click.option("--tls-ca", metavar="FILE", help="Certificate of the scheduler's authority."),
    click.option("--tls-cert", metavar="FILE", help="Certificate to show to the scheduler."),
    click.option("--tls-key", metavar="FILE", help="Its key, where it has a file of its own."),
)
SIZES = in_order(
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Of the embedded cluster, which inputs get that are not small where no scheduler is "
        "given.",
    ),
    click.option("--threads", type=click.IntRange(min=1), help="Of each worker."),
    click.option("--memory-limit", metavar="SIZE", help="Of each worker, such as 2GB."),
)
RESOURCES = in_order(
    SCHEDULER,
    SIZES,
    click.option(
        "--performance-report",
        metavar="FILE.html",
        help="Write Dask's report of what the cluster did, also where the job fails; a job that "
        "would do without a cluster gets an embedded one for it.",
    ),
    click.option(
        "--wait-for-workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="Begin once the cluster has so many workers; by default with the first.",
    ),
    click.option(
        "--worker-timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        default=300.0,
        show_default=True,
        help="Give up with 75 where no worker of the cluster was there for so long, or not N of "
        "them at the beginning.",
    ),
)

RESOURCE_NAMES = (
    "scheduler", "tls_ca", "tls_cert", "tls_key", "workers", "threads", "memory_limit",
    "performance_report",
)  # fmt: skip
"""Parameters of `RESOURCES`."""

CONFIG = click.option(
    "--config",
    metavar="FILE.toml",
    type=click.Path(exists=True, dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=take_from_file,
    help="Options by their long names, common ones at the top, others in a table named as the "
    "command. Variables such as DASKGMM_SEED win over it, the command line over both.",
)
LOG_FORMAT = click.option(
    "--log-format",
    type=click.Choice(logs.FORMATS),
    default="text",
    show_default=True,
    is_eager=True,
    expose_value=False,
    callback=lambda _context, _option, value: logs.set_format(value),
    help="Of messages on standard error; json has a line for each event.",
)
LOG_LEVEL = click.option(
    "--log-level",
    type=click.Choice(logs.LEVELS),
    default="info",
    show_default=True,
    is_eager=True,
    expose_value=False,
    callback=lambda _context, _option, value: logs.set_level(value),
    help="Least important messages to show; debug shows tracebacks too.",
)
COMMON = in_order(CONFIG, LOG_FORMAT, LOG_LEVEL)
"""Options of every command; the file is read first, for it may set the others."""

PROGRESS = click.option(
    "--progress/--no-progress", default=True, help="Tell how far the job is.", show_default=True
)
SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="Of the random numbers; by default another one each time.",
)
READING = in_order(FORMAT, DELIMITER, WHERE, STORAGE, RESOURCES, PROGRESS, COMMON)
"""Options of commands that read rows."""


def in_natural_order(_: click.Context, __: click.Parameter, paths: tuple[str, ...]) -> Any:
    """Paths as typed: a shell puts what its patterns stand for in an order of its own."""
    from daskgmm.data.files.listing import natural_order

    return tuple(sorted(paths, key=natural_order))


INPUTS = click.argument(
    "inputs", nargs=-1, required=True, metavar="INPUT...", callback=in_natural_order
)
MODEL = click.argument("model")


def refuse_without_inputs(*names: str) -> None:
    """Refuse options of reading rows that were typed where no INPUT was.

    Those of a file or variable may be there for other commands.
    """
    context = click.get_current_context()
    for param in context.command.params:
        typed = context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        if param.name in names and typed:
            raise click.UsageError(f"--{long_name(param)} is about reading rows: give INPUT.")


def inputs_of(options: dict[str, Any], paths: tuple[str, ...]) -> "Inputs":
    """The rows that the options name."""
    from daskgmm.jobs.inputs import Inputs

    return Inputs(
        paths,
        options.get("columns"),
        options.get("weight_column"),
        options["format"],
        dict(options["storage_options"]),
        tuple(options["where"]),
        options["delimiter"],
    )


def resources_of(options: dict[str, Any]) -> "Resources":
    """Where the options say that the job runs."""
    from dataclasses import fields

    from daskgmm.jobs.cluster.resources import Resources

    names = {field.name for field in fields(Resources)}
    return Resources(**{name: value for name, value in options.items() if name in names})
