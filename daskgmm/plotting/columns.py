"""Which mixture and which of its columns a figure shows."""

from collections.abc import Sequence
from typing import Any

from daskgmm.errors import ConfigurationError


def mixture_of(model: Any) -> Any:
    """Return the mixture that a selector chose, or the mixture itself."""
    return getattr(model, "best_estimator_", model)


def column_names(model: Any) -> list[str]:
    """Return the names that the model was fitted with, or numbered ones."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return [f"feature {position}" for position in range(model.n_features_in_)]
    return [str(name) for name in names]


def column_positions(model: Any, columns: Sequence[int | str]) -> list[int]:
    """Return the places of one or two columns, given by position or name.

    A model of one feature has nothing to choose from: ``columns`` is not looked at.
    """
    if model.n_features_in_ == 1:
        return [0]
    if isinstance(columns, str) or len(columns) not in {1, 2}:
        raise ConfigurationError(
            f"A figure shows one or two columns, not {columns!r}.",
            "Give one or two with columns= (--columns), by name, or in Python by position.",
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
