"""The columns that a figure shows: by name, by position, or by how far components lie apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from daskgmm.errors import ConfigurationError
from daskgmm.model.covariance import covariance_named


def column_names(model: Any) -> list[str]:
    """Return the names of the features, or numbered ones where the fit had none."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return [f"feature {position}" for position in range(model.n_features_in_)]
    return [str(name) for name in names]


def column_positions(model: Any, columns: Sequence[int | str] | None, most: int) -> list[int]:
    """Return the positions of at most so many columns, given by position or name.

    ``None`` stands for those that tell the components apart best. For a model of one feature
    ``columns`` is ignored.
    """
    if model.n_features_in_ == 1:
        return [0]
    if columns is None:
        return most_telling(model, most)
    if isinstance(columns, str) or not 0 < len(columns) <= most:
        count = "one or two" if most == 2 else f"one to {most}"
        raise ConfigurationError(
            f"This figure shows {count} columns, not {columns!r}.",
            "Give some of them with columns= (--columns), by name, or in Python by position.",
        )
    return [_position(model, column) for column in columns]


def _position(model: Any, column: int | str) -> int:
    names = column_names(model)
    if isinstance(column, str):
        if column in names:
            return names.index(column)
    elif 0 <= column < len(names):
        return int(column)
    raise ConfigurationError(
        f"The model has no column {column!r}.",
        f"Give one of {', '.join(names)}, or a position from 0 to {len(names) - 1}.",
    )


def most_telling(model: Any, most: int) -> list[int]:
    """Return the positions of the columns in which components lie furthest apart, in data order.

    That is the variance of their means in units of the variance within them.
    """
    between, within = moments_of(model)[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(between > 0, between / within, 0.0)
    best = np.argsort(-shares, kind="stable")[:most]
    return sorted(int(position) for position in best)


def moments_of(model: Any) -> tuple[Any, Any, Any]:
    """Return each column's mean, and its variances between and within components, (D,) each."""
    weights, means = np.asarray(model.weights_), np.asarray(model.means_)
    covariance = covariance_named(model.covariance_type)
    variances = covariance.variances(np.asarray(model.covariances_), means.shape)
    centre = weights @ means
    return centre, weights @ (means - centre) ** 2, weights @ variances
