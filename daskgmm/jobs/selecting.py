"""Choose a mixture among many: a fit of another method, whose run tells of all candidates."""

from dataclasses import dataclass
from typing import Any

from daskgmm.jobs.events import Listener
from daskgmm.jobs.fitting import Method


@dataclass(frozen=True)
class Selection(Method):
    """The best of many mixtures, as `daskgmm.GaussianMixtureSelector` means it.

    Parameters
    ----------
    components : tuple of int
        Numbers K to try.
    covariance : tuple of str
        Covariance types to try with each.
    criterion : str
        What is to be least.
    """

    components: tuple[int, ...]
    covariance: tuple[str, ...] = ("full",)
    criterion: str = "bic"

    def estimator(self, listener: Listener) -> Any:
        """A `GaussianMixtureSelector`."""
        from daskgmm.estimators.selector import GaussianMixtureSelector

        return GaussianMixtureSelector(
            self.components,
            covariance_type=self.covariance,
            criterion=self.criterion,
            **self.parameters(listener),
        )

    def outcome(self, fitted: Any) -> tuple[Any, dict[str, Any]]:
        """The best mixture, and the table of all."""
        return fitted.best_estimator_, {
            "n_passes": fitted.n_passes_,
            "criterion": self.criterion,
            "best": fitted.best_index_,
            "candidates": fitted.results_.to_dict("records"),
        }
