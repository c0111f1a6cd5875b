"""Checks made by scikit-learn, with errors of daskgmm."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

import sklearn.exceptions
from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import ConfigurationError, DaskGMMError, DataError, InputTypeError


class NotFittedError(ConfigurationError, sklearn.exceptions.NotFittedError):
    """Error that an estimator is not fitted; it is an AttributeError as well."""


def require_fitted(estimator: object) -> None:
    """Check that an estimator is fitted.

    Raises
    ------
    NotFittedError
        The estimator is not fitted; the error is one of scikit-learn's as well.
    """
    try:
        check_is_fitted(estimator)
    except sklearn.exceptions.NotFittedError as error:
        raise NotFittedError(
            f"This {type(estimator).__name__} instance is not fitted yet.",
            "Call 'fit' with appropriate arguments before using this estimator.",
        ) from error


def is_share(value: Any) -> bool:
    """Whether a value is a number from 0 to 1 (NaN is not)."""
    return isinstance(value, Real) and 0 <= float(value) <= 1


@contextmanager
def as_data_error(*, reset: bool) -> Iterator[None]:
    """Turn scikit-learn's errors about X into errors of daskgmm with the same text.

    Parameters
    ----------
    reset : bool
        Whether X is to be fitted, and not passed to a fitted estimator.
    """
    try:
        yield
    except DaskGMMError:
        raise
    except TypeError as error:
        raise InputTypeError(str(error), _remedy(reset=reset)) from error
    except ValueError as error:
        raise DataError(str(error), _remedy(reset=reset)) from error


def _remedy(*, reset: bool) -> str:
    if reset:
        return "Pass rows of numbers: an array of shape (rows, features), or a frame."
    return "Pass rows of numbers with the columns that were fitted, in the same order."
