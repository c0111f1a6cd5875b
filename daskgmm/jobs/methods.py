"""Ways to fit: what is fitted, by which estimator, and what of it is kept."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """What is fitted and how.

    Parameters
    ----------
    init, n_init, tol, stopping, acceleration, max_iter, reg_covar, subsample, dtype
        As `daskgmm.GaussianMixture` means them.
    seed : int or None
        ``None`` draws one, which the run's record tells.
    """

    init: str = "kmeans"
    n_init: int = 1
    tol: float = 1e-3
    stopping: str = "lower_bound"
    acceleration: str | None = None
    max_iter: int = 100
    reg_covar: float = 1e-6
    subsample: str | int | None = "auto"
    dtype: str | None = None
    seed: int | None = None

    @abstractmethod
    def estimator(self, **more: Any) -> Any:
        """The estimator that does it, with `more` of what all estimators take."""

    @abstractmethod
    def outcome(self, fitted: Any) -> tuple[Any, dict[str, Any]]:
        """The model to keep of a fitted estimator, and what else there is to tell of it."""

    def parameters(self) -> dict[str, Any]:
        """What all estimators take, by their names for it."""
        return {
            "tol": self.tol,
            "reg_covar": self.reg_covar,
            "max_iter": self.max_iter,
            "n_init": self.n_init,
            "init_params": self.init,
            "random_state": self.seed,
            "subsample": self.subsample,
            "stopping": self.stopping,
            "acceleration": self.acceleration,
            "dtype": self.dtype,
        }


@dataclass(frozen=True)
class MixtureSpec(Method):
    """One mixture.

    Parameters
    ----------
    components : int
        K.
    covariance : str
        The covariance type.
    """

    components: int
    covariance: str = "full"

    def estimator(self, **more: Any) -> Any:
        """A `GaussianMixture`."""
        from daskgmm.estimators.gaussian_mixture import GaussianMixture

        return GaussianMixture(
            self.components, covariance_type=self.covariance, **self.parameters(), **more
        )

    def outcome(self, fitted: Any) -> tuple[Any, dict[str, Any]]:
        """The mixture itself."""
        return fitted, {}
