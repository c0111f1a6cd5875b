"""A fitted mixture as one SELECT, that gives each row of a table what ``predict`` would.

Rows are moved to the fit's frame and centred at each component's mean before anything is squared,
as the compiled loops do; the logarithm of the sum of exponentials is taken from the largest. The
text grows with ``K D ** 2`` where covariances are matrices, and with ``K D`` along the axes.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from daskgmm.errors import ConfigurationError, require_package
from daskgmm.fitting.fitted import Fitted
from daskgmm.model.questions.clusters import ClusterPredictor
from daskgmm.model.typing import Doubles

DIALECTS = ("duckdb", "spark", "bigquery", "snowflake", "postgres")

_OWN = "_gmm_"
"""Beginning of the names of columns that only this query sees."""

_UNDERFLOW = "-7e+02"
"""Difference of log-densities below which an exponential is zero: PostgreSQL refuses to round."""

_LEAST_LOGIT = -1e300
"""In place of minus infinity, where noise has no weight."""

_TABLE, _FORMULA = f"{_OWN}table", f"{_OWN}formula"
"""Names that stand for the table and for a component's logit, until these are put in."""


def to_sql(
    fitted: Fitted, table: str, dialect: str = "duckdb", columns: Sequence[str] | None = None
) -> str:
    """One SELECT of a table's columns, and of label, probabilities and log-density of each row.

    Parameters
    ----------
    fitted : Fitted
    table : str
        The table's name, as the dialect writes it.
    dialect : str
        One of `DIALECTS`.
    columns : sequence of str or None
        The features' columns in the table; by default those of the fit.

    Returns
    -------
    str
        A query whose last columns are ``label`` (0 to K - 1, -1 for noise), ``probability_0`` to
        the last, ``probability_noise`` where there is noise, and ``log_density`` (nats); of
        clusters, where components are joined into such. They are NULL where a feature is.

    Raises
    ------
    ConfigurationError
        The dialect or the table's name is not known, the columns are not as many as the fit's, or
        sqlglot is not installed.
    """
    if dialect not in DIALECTS:
        raise ConfigurationError(
            f"The dialect {dialect!r} is not known.", f"Use one of: {', '.join(DIALECTS)}."
        )
    require_package("sqlglot", "sql", "SQL needs sqlglot")
    import sqlglot

    query = sqlglot.parse_one(_query(fitted, _names(fitted, columns), dialect), read="duckdb")
    target = _target(sqlglot, table, dialect)
    for found in query.find_all(sqlglot.exp.Table):
        if found.name == _TABLE:
            target.set("alias", found.args.get("alias"))
            found.replace(target)
    text: str = query.sql(dialect=dialect, pretty=True)
    formulas = list(_logits(fitted))
    # They are the same in all dialects, and too long to be parsed.
    return re.sub(rf"{_FORMULA}(\d+)", lambda found: formulas[int(found[1])], text)


def _target(sqlglot: Any, table: str, dialect: str) -> Any:
    try:
        return sqlglot.exp.maybe_parse(table, into=sqlglot.exp.Table, dialect=dialect)
    except sqlglot.errors.SqlglotError as error:
        raise ConfigurationError(
            f"{table!r} is not the name of a table in the dialect {dialect}.",
            'Give it as it stands after FROM, such as sales.visits or "my table".',
        ) from error


def _names(fitted: Fitted, columns: Sequence[str] | None) -> tuple[str, ...]:
    names = fitted.columns if columns is None else tuple(columns)
    if names is None:
        raise ConfigurationError(
            "The fit's columns have no names, so the table's are not known.",
            f"Name the {fitted.n_features} columns of the table, in the order of the fit.",
        )
    if len(names) != fitted.n_features or len(set(names)) < len(names):
        raise ConfigurationError(
            f"Of the table {len(names)} columns are named, of which {len(set(names))} differ; the "
            f"model was fitted on {fitted.n_features}.",
            "Name a column of the table for each column of the fit, in its order.",
        )
    if taken := sorted(set(names) & set(_outputs(fitted))):
        raise ConfigurationError(
            f"A feature is called {taken[0]!r}, as a column of the result is.",
            "Rename it in a view of the table.",
        )
    return names


def _outputs(fitted: Fitted) -> list[str]:
    shares = [f"probability_{name}" for name in fitted.predictor.label_names]
    return ["label", *shares, "log_density"]


def _query(fitted: Fitted, names: Sequence[str], dialect: str) -> str:
    """The query over a table of a name of ours, in the dialect of DuckDB."""
    noise = fitted.predictor.mixture.noise is not None
    own = [f"{_OWN}{k}" for k in range(fitted.n_components + noise)]
    peak, density = f"{_OWN}peak", f"{_OWN}density"
    largest = own[0] if len(own) == 1 else f"GREATEST({', '.join(own)})"
    total = " + ".join(_exponential(f"{one} - {peak}") for one in own)
    steps = [
        list(zip(_places(fitted), _standardised(fitted, names), strict=True)),
        [(one, f"{_FORMULA}{k}") for k, one in enumerate(own)],
        [(peak, largest)],
        [(density, f"{peak} + LN({total})")],
    ]
    shares = [_exponential(f"{one} - {density}") for one in own]
    compared, most = own, peak
    if isinstance(fitted.predictor, ClusterPredictor):  # the largest sum of components' shares
        clusters, n_labels = fitted.predictor.clusters, fitted.predictor.n_labels
        members = [np.flatnonzero(clusters == c) for c in range(n_labels)]
        compared, most = [f"{_OWN}share{c}" for c in range(n_labels)], f"{_OWN}most"
        sums = [" + ".join(shares[k] for k in inside) for inside in members]
        steps.append(list(zip(compared, sums, strict=True)))
        largest = compared[0] if n_labels == 1 else f"GREATEST({', '.join(compared)})"
        steps.append([(most, largest)])
        shares = compared
    # What is no number has no label; in most dialects it is larger than any.
    cases = f"WHEN NOT {density} < 1e+308 THEN NULL "
    labels = [-1 if k == fitted.n_components else k for k in range(len(compared))]  # -1: noise
    cases += " ".join(
        f"WHEN {one} = {most} THEN {label}" for one, label in zip(compared, labels, strict=True)
    )
    values = [f"CASE {cases} END", *shares, _jacobian(fitted, density)]
    results = ", ".join(
        f"{value} AS {name}" for value, name in zip(values, _outputs(fitted), strict=True)
    )
    if dialect == "postgres":  # which cannot leave columns out of all
        laterals = " ".join(
            f"CROSS JOIN LATERAL (SELECT {_aliased(step)} OFFSET 0) AS {_OWN}step{number}"
            for number, step in enumerate(steps)
        )
        return f"SELECT {_OWN}rows.*, {results} FROM {_TABLE} AS {_OWN}rows {laterals}"
    inner = _TABLE
    for step in steps:
        inner = f"(SELECT *, {_aliased(step)} FROM {inner})"
    hidden = ", ".join(name for step in steps for name, _ in step)
    return f"SELECT * EXCLUDE ({hidden}), {results} FROM {inner}"


def _places(fitted: Fitted) -> list[str]:
    return [f"{_OWN}z{d}" for d in range(fitted.n_features)]


def _aliased(step: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{value} AS {name}" for name, value in step)


def _standardised(fitted: Fitted, names: Sequence[str]) -> Iterator[str]:
    frame = fitted.predictor.frame
    for name, origin, scale in zip(names, frame.origin, frame.scale, strict=True):
        quoted = '"' + name.replace('"', '""') + '"'
        yield f"(CAST({quoted} AS DOUBLE) - {_number(origin)}) / {_number(scale)}"


def _logits(fitted: Fitted) -> Iterator[str]:
    mixture, places = fitted.predictor.mixture, _places(fitted)
    factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
    for k, (mean, normaliser) in enumerate(
        zip(mixture.means, mixture.log_normalisers, strict=True)
    ):
        centred = [f"({z} - {_number(own)})" for z, own in zip(places, mean, strict=True)]
        factor = factors[min(k, len(factors) - 1)]
        whole = mixture.covariance.has_matrices
        white = _whitened(centred, factor) if whole else _scaled(centred, factor[0])
        yield f"{_number(normaliser)} - 5e-01 * ({' + '.join(f'POWER({y}, 2)' for y in white)})"
    if mixture.noise is not None:  # which is NULL or no number where a feature is
        logit = max(mixture.noise.logit, _LEAST_LOGIT)
        yield " + ".join([_number(logit), *(f"0e+00 * {z}" for z in places)])


def _whitened(centred: Sequence[str], factor: Doubles) -> Iterator[str]:
    for column in factor.T:
        used = [(z, own) for z, own in zip(centred, column, strict=True) if own != 0]
        yield " + ".join(f"{z} * {_number(own)}" for z, own in used)


def _scaled(centred: Sequence[str], scales: Doubles) -> Iterator[str]:
    return (f"{z} * {_number(own)}" for z, own in zip(centred, scales, strict=True))


def _jacobian(fitted: Fitted, density: str) -> str:
    return f"{density} + {_number(fitted.predictor.frame.log_jacobian)}"


def _exponential(difference: str) -> str:
    return f"CASE WHEN {difference} < {_UNDERFLOW} THEN 0e+00 ELSE EXP({difference}) END"


def _number(value: float) -> str:
    """A literal with an exponent: without one, most dialects would take it for a decimal."""
    text = np.format_float_scientific(value, unique=True)
    return f"({text})" if value < 0 else text
