"""Warnings that ``fit`` of an estimator ends with."""

import warnings
from collections.abc import Iterable

from sklearn.exceptions import ConvergenceWarning


def warn_of_spurious() -> None:
    """Warn the caller of ``fit`` that every mixture that was found has a spurious component."""
    warnings.warn(
        "Every mixture that was found has a component on hardly more rows than determine it, or "
        "with next to no variance in some direction: its likelihood says little of other rows. "
        "Use fewer components, another covariance_type, or a larger reg_covar.",
        ConvergenceWarning,
        stacklevel=3,
    )


def warn_of_components(texts: Iterable[str]) -> None:
    """Warn the caller of ``fit`` of odd components."""
    for text in texts:
        warnings.warn(text, ConvergenceWarning, stacklevel=3)


def warn_not_converged() -> None:
    """Warn the caller of ``fit`` that the best start did not converge."""
    warnings.warn(
        "Best performing initialization did not converge. Try different init "
        "parameters, or increase max_iter, tol, or check for degenerate data.",
        ConvergenceWarning,
        stacklevel=3,
    )


def warn_of_largest(n_components: int) -> None:
    """Warn the caller of ``fit`` that larger numbers of components may be better still."""
    warnings.warn(
        f"The best number of components, {n_components}, is the largest that was tried: try more.",
        UserWarning,
        stacklevel=3,
    )
