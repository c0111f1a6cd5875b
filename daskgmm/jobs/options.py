"""The keywords of jobs, each declared once with its default, range and help.

The command line's options are made from them. Those of a fit's method are in
`daskgmm.fitting.options`, those of the cluster in `daskgmm.jobs.cluster.options`. These modules
import no library, so that ``daskgmm --help`` answers at once.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypedDict, TypeVar

from daskgmm.fitting.options import (
    MISSING,
    CacheOptions,
    DType,
    MethodOptions,
    NInit,
    Option,
    Refine,
    Seed,
    Subsample,
    declared,
)
from daskgmm.jobs.cluster.options import ClusterOptions, SizeOptions

if TYPE_CHECKING:
    from daskgmm.jobs.listener import Listener

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
T = TypeVar("T")


class ColumnOptions(TypedDict, total=False):
    """Options of the columns that are features."""

    columns: Annotated[
        Sequence[str] | None,
        Option(
            metavar="A,B",
            help="Columns to use, in this order; by default all, or those of the model. Columns of "
            "arrays go by position, from 0. May be repeated to add more. Put a name that "
            "contains a comma in double quotes: "
            "'a,\"speed, m/s\"'.",
        ),
    ]
    exclude: Annotated[
        Sequence[str],
        Option(
            default=(),
            metavar="A,B",
            help="Columns to leave out, in place of --columns; repeated and quoted as there.",
        ),
    ]
    numeric: Annotated[
        bool,
        Option(
            default=False,
            help="Use all columns that hold numbers and no others, in place of --columns.",
        ),
    ]


class WeightOptions(TypedDict, total=False):
    """Options of sample weights."""

    weight_column: Annotated[
        str | None, Option(metavar="W", help="Column that holds the sample weights.")
    ]


class FormatOptions(TypedDict, total=False):
    """Options of files and tables: their format, and the rows of them that are read."""

    format: Annotated[
        str | None,
        Option(metavar="FORMAT", help="Format of the inputs, if their names do not tell it."),
    ]
    delimiter: Annotated[
        str | None,
        Option(
            metavar="CHARACTER",
            help="Character between the values of CSV files, such as ';', or '\\t' for a tab; by "
            "default found from their first lines.",
        ),
    ]
    where: Annotated[
        Sequence[str],
        Option(
            default=(),
            metavar="KEY=VALUE",
            help="Condition on directories named KEY=VALUE, or on the partitions of a table; "
            "others are not read. Also with != < <= > >=. May be repeated; all conditions must "
            "hold.",
        ),
    ]
    version: Annotated[
        str | None,
        Option(
            metavar="VERSION",
            help="Version of a table to read: its number in Delta, a snapshot, tag or branch in "
            "Iceberg; by default the current one.",
        ),
    ]
    as_of: Annotated[
        str | None,
        Option(
            metavar="TIME",
            help="Time for the version of a table that was current then, such as 2026-11-21 or "
            "2026-11-21T05:00:00Z; UTC unless it has a zone.",
        ),
    ]


class StorageOptions(TypedDict, total=False):
    """Options of the stores of inputs and outputs."""

    storage_options: Annotated[
        Mapping[str, Any],
        Option(
            default={},
            flag="storage-option",
            metavar="KEY=VALUE",
            help="Option for the stores of URLs, such as anon=true. May be repeated, and adds to "
            "those in a file or variable.",
        ),
    ]


class RowsOptions(ColumnOptions, WeightOptions, FormatOptions, StorageOptions, total=False):
    """Options of the rows that a job reads."""


class ReadOptions(RowsOptions, ClusterOptions, total=False):
    """Options of the rows that a job reads and the cluster that it runs on.

    Parameters
    ----------
    listener : Listener, optional
        Receives the start of the job and its progress; see `daskgmm.jobs.listener`.
    """

    listener: "Listener | None"


Force = Annotated[bool, Option(default=False, help="Replace an existing output.")]
MaxMissing = Annotated[
    float,
    Option(
        default=1.0,
        least=0,
        most=1,
        metavar="SHARE",
        help="Largest share of the rows that may have missing values; above it the exit code is "
        "65.",
    ),
]
Keep = Annotated[
    Sequence[str] | None,
    Option(
        metavar="A,B",
        help="Columns of INPUT to copy to the output; repeated and quoted as for --columns.",
    ),
]


class ReferenceOptions(TypedDict, total=False):
    """Options of other models, which keep the order of components from one run to the next."""

    start_from: Annotated[
        str | None,
        Option(
            metavar="RUN",
            help="Run directory or model file whose parameters are the start; components keep its "
            "order.",
        ),
    ]
    align_to: Annotated[
        str | None,
        Option(
            metavar="RUN",
            help="Run directory or model file whose order the components of the result take; they "
            "are matched by least total Bhattacharyya distance.",
        ),
    ]


class FitOptions(MethodOptions, CacheOptions, ReferenceOptions, ReadOptions, total=False):
    """Options of a fit and its run directory.

    Parameters
    ----------
    command : tuple of str
        Command line, for the run's record.
    """

    max_missing: MaxMissing
    resume: Annotated[
        bool,
        Option(
            default=True,
            help="Continue an unfinished run from its checkpoint, or start it again.",
        ),
    ]
    force: Force
    seed: Seed
    command: tuple[str, ...]


class MixtureOptions(FitOptions, total=False):
    """Options of a fit of one mixture, and of its parts that stay."""

    fix: Annotated[
        Sequence[str],
        Option(
            default=(),
            metavar="PARTS",
            help="Parts of the components in --fix-from that stay as they are: any of means, "
            "weights and covariances. These components come first; the others are learned beside "
            "them.",
        ),
    ]
    fix_from: Annotated[
        str | None,
        Option(
            metavar="RUN", help="Run directory or model file that holds the components of --fix."
        ),
    ]


class BayesianOptions(TypedDict, total=False):
    """Options of a variational mixture, whose parameters have priors."""

    bayesian: Annotated[
        bool,
        Option(
            default=False,
            help="Fit a variational mixture of at most K components; those that the rows do not "
            "need become empty. --tol then limits the bound of all rows together.",
        ),
    ]
    concentration: Annotated[
        float | None,
        Option(
            least=0,
            above=True,
            help="Concentration of the weights' prior: the lower, the fewer components hold rows; "
            "by default 1 / K.",
        ),
    ]
    concentration_type: Annotated[
        str,
        Option(
            default="dirichlet_process",
            choices=("dirichlet_process", "dirichlet_distribution"),
            help="Prior of the weights of a variational mixture.",
        ),
    ]


class OneFitOptions(BayesianOptions, MixtureOptions, total=False):
    """Options of a fit of one mixture, variational or not."""


class PredictOptions(ReadOptions, total=False):
    """Options of the predictions that are written for each row."""

    with_: Annotated[
        Sequence[str],
        Option(
            default=("labels",),
            flag="with",
            metavar="KINDS",
            help="Results to write for each row: any of labels, probabilities, log-density, "
            "anomaly and explanation (the three columns that surprise most given the others, and "
            "their surprise in nats).",
        ),
    ]
    anomaly_quantile: Annotated[
        float | None,
        Option(
            least=0,
            most=1,
            metavar="Q",
            help="Share of the rows, those of lowest log-density, that count as anomalous; by "
            "default 0.01. Takes one or two more passes.",
        ),
    ]
    anomaly_threshold: Annotated[
        float | None,
        Option(
            metavar="NATS",
            help="Log-density below which a row counts as anomalous, in place of a share.",
        ),
    ]
    partition_by: Annotated[
        Sequence[str],
        Option(
            default=(),
            metavar="KEY",
            help="Columns of INPUT by whose values rows go into directories such as "
            "day=2026-11-21, nested in this order; repeated and quoted as for --columns.",
        ),
    ]
    keep: Keep
    force: Force


class ImputeOptions(ReadOptions, total=False):
    """Options of rows whose missing values are replaced."""

    keep: Keep
    force: Force


class MergeOptions(ReadOptions, total=False):
    """Options of a mixture whose components are joined into clusters.

    Parameters
    ----------
    command : tuple of str
        Command line, for the run's record.
    """

    clusters: Annotated[
        int | None,
        Option(
            least=1,
            help="Number of clusters; by default the elbow of their entropy, or as many as remain "
            "when no pair overlaps by a Bhattacharyya coefficient of 0.1.",
        ),
    ]
    force: Force
    command: tuple[str, ...]


class AdaptOptions(ReadOptions, total=False):
    """Options of a mixture whose means are moved towards rows.

    Parameters
    ----------
    command : tuple of str
        Command line, for the run's record.
    """

    relevance: Annotated[
        float,
        Option(
            default=16.0, least=0, metavar="R", help="Number of rows that an old mean counts for."
        ),
    ]
    force: Force
    command: tuple[str, ...]


class SampleOptions(ReadOptions, total=False):
    """Options of drawn rows and their output."""

    with_labels: Annotated[bool, Option(default=False, help="Write the component of each row too.")]
    force: Force
    seed: Seed


class UpdateOptions(ReferenceOptions, ReadOptions, total=False):
    """Options of the run directory of a refreshed model.

    Parameters
    ----------
    command : tuple of str
        Command line, for the run's record.
    """

    missing: Annotated[
        str | None,
        Option(
            choices=MISSING,
            help="Treatment of rows with a missing value from now on; by default that of the "
            "model's fit.",
        ),
    ]
    max_missing: MaxMissing
    fail_below_difference: Annotated[
        float | None,
        Option(
            metavar="NATS",
            help="Smallest acceptable difference in nats per row: the mean log-likelihood of the "
            "new rows under the old model less its bound before. Below it nothing is written or "
            "replaced, and the exit code is 3.",
        ),
    ]
    force: Force
    command: tuple[str, ...]


class PlanOptions(RowsOptions, SizeOptions, total=False):
    """Options of a plan: the fit and the cluster that it is for."""

    n_init: NInit
    subsample: Subsample
    refine: Refine
    dtype: DType


def check(options: Mapping[str, Any], kind: Any) -> None:
    """Refuse keywords that a job does not take, and numbers out of range.

    Raises
    ------
    TypeError
        A keyword is not an option of the job.
    ConfigurationError
        A number is out of range.
    """
    for name in options.keys() - kind.__annotations__.keys():
        raise TypeError(f"{name!r} is not an option of this job.")
    for name, option in declared(kind).items():
        if name in options:
            option.check(options[name])


def build(kind: type[T], options: Mapping[str, Any], **given: Any) -> T:
    """Create a dataclass from the options that are its fields, and from further values."""
    names = {field.name for field in fields(kind)} - given.keys()  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names & options.keys()}, **given)
