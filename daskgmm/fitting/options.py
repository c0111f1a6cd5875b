"""The options of a fit, each declared once.

The command line's options, the jobs' keywords and the ranges that estimators check are made from
the annotations here. The estimators' constructors repeat the defaults, as scikit-learn needs
them there; a test compares both. To add an option, add an entry here, a constructor parameter,
and the code that uses it.

This module imports the standard library only, so that ``daskgmm --help`` answers at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import inf
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeAlias, TypedDict, get_args

from daskgmm.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Option:
    """The default, range and help of an option.

    Parameters
    ----------
    default : object
    help : str
        Text that the command line shows; it begins with what the option is.
    parameter : str or None
        Name of the estimators' parameter, if it differs from the keyword.
    flag : str or None
        Name on the command line, if it is not the keyword with dashes.
    choices : tuple of str
        All values but None, if they are few.
    least, most : float or None
        Range of a number.
    above : bool
        Whether a number must be larger than `least`.
    metavar : str or None
        Placeholder for the value in the help.
    """

    default: Any = None
    help: str
    parameter: str | None = None
    flag: str | None = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    above: bool = False
    metavar: str | None = None


@dataclass(frozen=True)
class Declared:
    """An option as a class of options declares it.

    Parameters
    ----------
    name : str
        Keyword of the jobs.
    types : tuple of type
        Types that its values may have.
    option : Option
    """

    name: str
    types: tuple[Any, ...]
    option: Option

    @property
    def parameter(self) -> str:
        """Name of the estimators' parameter."""
        return self.option.parameter or self.name

    def check(self, value: Any) -> None:
        """Refuse a number of the wrong type or out of range; other values pass.

        Raises
        ------
        ConfigurationError
            The number is of the wrong type or out of range.
        """
        if not (value is None and type(None) in self.types):
            option = self.option
            check_number(self.name, value, self.number, option.least, above=option.above)

    @property
    def number(self) -> Any:
        """`Integral` or `Real` if all values but None are such numbers, else None."""
        kinds = set(self.types) - {type(None)}
        return {frozenset({int}): Integral, frozenset({float}): Real}.get(frozenset(kinds))


def check_number(
    what: str, value: Any, kind: Any, least: float | None, *, above: bool = False
) -> None:
    """Refuse values that are not finite numbers of a kind, or are too small.

    Parameters
    ----------
    what : str
        Name of the value, with which the error begins.
    value : object
    kind : {Integral, Real, None}
        Kind of number; with ``None`` every value passes.
    least : float or None
        Smallest value; with ``None`` every value passes.
    above : bool
        Whether `least` itself is too small.

    Raises
    ------
    ConfigurationError
        The value is not such a number, or too small.
    """
    if kind is None or least is None:
        return
    if isinstance(value, kind) and least <= value < inf and (value > least or not above):
        return  # never for NaN, which fails the comparisons
    number = "an integer" if kind is Integral else "a finite number"
    limit = f"above {least:g}" if above else f"of at least {least:g}"
    raise ConfigurationError(f"{what} is {value!r}.", f"It must be {number} {limit}.")


@cache
def declared(kind: type) -> dict[str, Declared]:
    """Options that a class of options declares, by the jobs' keywords.

    Parameters
    ----------
    kind : TypedDict class
        Class of options; keys without an `Option` in their annotation are left out.
    """
    found = {}
    for name, hint in kind.__annotations__.items():
        for option in getattr(hint, "__metadata__", ()):
            plain = hint.__origin__
            types = get_args(plain) if plain not in (int, float, bool, str) else (plain,)
            found[name] = Declared(name, types, option)
    return found


def values_of(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all options of a class: the given ones, and defaults for the others."""
    return {name: given.get(name, one.option.default) for name, one in declared(kind).items()}


# Values of parameters, for type checkers; a test holds them against the choices below.
InitChoice: TypeAlias = Literal[
    "kmeans", "k-means++", "random", "random_from_data", "hierarchical", "k-means||"
]
StoppingChoice: TypeAlias = Literal["lower_bound", "parameters"]
AccelerationChoice: TypeAlias = Literal["squarem"]
RefineChoice: TypeAlias = Literal["auto", "split-merge", "none"]
ConcentrationChoice: TypeAlias = Literal["dirichlet_process", "dirichlet_distribution"]
CacheChoice: TypeAlias = Literal["auto", "memory", "disk", "none"]
MissingChoice: TypeAlias = Literal["error", "drop", "marginalize"]

NInit = Annotated[
    int, Option(default=1, least=1, help="Number of starts; the best result is kept.")
]
Subsample = Annotated[
    str | int | None,
    Option(
        default="auto",
        metavar="auto|none|N",
        help="Number of rows on which starts are first fitted in memory.",
    ),
]
Refine = Annotated[
    str,
    Option(
        default="auto",
        choices=("auto", "split-merge", "none"),
        help="Search for the start on sampled rows: split-merge tries several and moves "
        "components; none begins as scikit-learn does; auto is split-merge unless --max-iter "
        "is under 10.",
    ),
]
DType = Annotated[
    str | None,
    Option(
        choices=("float32", "float64"),
        help="Float type to compute in; by default the type of the data.",
    ),
]
Seed = Annotated[
    int | None,
    Option(
        parameter="random_state",
        least=0,
        most=2**32 - 1,
        metavar="N",
        help="Seed of the random numbers; by default a new one each time.",
    ),
]


MISSING = get_args(MissingChoice)
"""Names of what rows with missing values count as."""


class MethodOptions(TypedDict, total=False):
    """Options of a fit that its result depends on."""

    init: Annotated[
        str,
        Option(
            default="kmeans",
            parameter="init_params",
            choices=(
                "kmeans", "k-means++", "random", "random_from_data", "hierarchical", "k-means||",
            ),
            help="Method that finds the start values.",
        ),
    ]  # fmt: skip
    n_init: NInit
    tol: Annotated[
        float,
        Option(default=1e-3, least=0, help="Tolerance: EM stops when the change is smaller."),
    ]
    stopping: Annotated[
        str,
        Option(
            default="lower_bound",
            choices=("lower_bound", "parameters"),
            help="Change that --tol limits: that of the mean log-likelihood in nats per row, or "
            "that of the parameters in units of the columns' standard deviations.",
        ),
    ]
    acceleration: Annotated[
        str | None,
        Option(
            choices=("squarem",),
            help="Extrapolation of EM steps, which saves passes if clusters overlap and --tol is "
            "small; by default none.",
        ),
    ]
    max_iter: Annotated[
        int, Option(default=100, least=1, help="Largest number of EM passes over all rows.")
    ]
    reg_covar: Annotated[
        float,
        Option(
            default=1e-6,
            least=0,
            help="Constant added to all variances, in squared units of the data.",
        ),
    ]
    subsample: Subsample
    refine: Refine
    prior: Annotated[
        str | None,
        Option(
            choices=("default",),
            help="Prior of means and covariances: default is that of Fraley and Raftery (2007), "
            "under which no component collapses; by default none.",
        ),
    ]
    noise: Annotated[
        bool,
        Option(
            default=False,
            help="Add a uniform background for rows that belong to no cluster; their label is -1.",
        ),
    ]
    dtype: DType
    missing: Annotated[
        str,
        Option(
            default="error",
            choices=MISSING,
            help="Treatment of rows with a missing value: an error, dropped as if absent, or "
            "counted by their known values (exact EM for values missing at random).",
        ),
    ]


class CacheOptions(TypedDict, total=False):
    """Options of a fit's cache, on which the result does not depend."""

    cache: Annotated[
        str,
        Option(
            default="auto",
            choices=("auto", "memory", "disk", "none"),
            help="Place of decoded rows between passes; auto chooses by size.",
        ),
    ]
