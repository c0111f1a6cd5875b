"""Everything that can go wrong, as a tree.

    DaskGMMError
    ├── ConfigurationError (ValueError)   an option or parameter is wrong
    ├── DataError (ValueError)            the rows are wrong: which, where, why
    │   ├── InputTypeError (TypeError)    this kind of object or column is not read
    │   └── CollapsedComponentError       a component has no proper covariance
    ├── MissingInputError (FileNotFoundError)   no such file, directory or match
    ├── OutputError (OSError)             the output exists or cannot be written
    ├── BelowThresholdError (ValueError)  the result is worse than was asked for
    └── ClusterError (ConnectionError)    scheduler, workers or network: try again

Each carries its ``cause`` (the fact with the offending value) and a ``remedy``; the text is
both. They hold plain strings only, so they travel between processes as they are.
"""

import re
from importlib import import_module
from importlib.util import find_spec
from typing import Self

__all__ = [
    "BelowThresholdError",
    "ClusterError",
    "CollapsedComponentError",
    "ConfigurationError",
    "DaskGMMError",
    "DataError",
    "InputTypeError",
    "MissingInputError",
    "OutputError",
]


class DaskGMMError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    cause : str
        What is wrong, with the offending value and where it was found.
    remedy : str
        What to do about it.
    """

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause, remedy)
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}".rstrip()

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.cause, self.remedy)


class ConfigurationError(DaskGMMError, ValueError):
    """An option or parameter has no meaning as given."""


class DataError(DaskGMMError, ValueError):
    """The rows can't be fitted or labelled as they are."""


class InputTypeError(DataError, TypeError):
    """An object or column of a kind that is not read as numbers."""


class CollapsedComponentError(DataError):
    """A component's covariance is not positive definite."""


class MissingInputError(DaskGMMError, FileNotFoundError):
    """No file, directory or match where the input should be."""


class OutputError(DaskGMMError, OSError):
    """The output exists already or cannot be written."""


class BelowThresholdError(DaskGMMError, ValueError):
    """The result is worse than was asked for, so it is not kept."""


class ClusterError(DaskGMMError, ConnectionError):
    """The cluster or the network failed in passing; the same call may work later."""


_OLDEST = {"s3fs": "2026.6", "zarr": "3.1.3"}
"""Oldest versions of packages of which older ones would fail without a clear error."""


def require_package(package: str, extra: str, need: str) -> None:
    """Raise ConfigurationError unless an optional package is installed and new enough.

    Parameters
    ----------
    package : str
        Name by which it is imported.
    extra : str
        The extra of this package that brings it.
    need : str
        Beginning of the error, such as ``"Figures need matplotlib"``.
    """
    remedy = f"Install it: pip install 'daskgmm[{extra}]'."
    if find_spec(package) is None:
        raise ConfigurationError(f"{need}, which is not installed.", remedy)
    if package in _OLDEST:
        installed = import_module("importlib.metadata").version(package)
        if _numbers(installed) < _numbers(_OLDEST[package]):
            raise ConfigurationError(
                f"{need} {_OLDEST[package]} or newer; {installed} is installed.", remedy
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
