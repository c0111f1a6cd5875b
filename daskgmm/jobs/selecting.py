"""Choose a mixture among many candidates, and leave a run directory with the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from daskgmm.jobs.fitting import request_of, run_fit
from daskgmm.jobs.methods import Method
from daskgmm.jobs.options import FitOptions, Paths
from daskgmm.model.covariance import CovarianceType

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture
    from daskgmm.estimators.selector import GaussianMixtureSelector


@dataclass(frozen=True)
class SelectionSpec(Method["GaussianMixtureSelector"]):
    """Method of a fit that chooses the best of many mixtures by a criterion.

    Parameters
    ----------
    components : tuple of int
        Numbers K to try.
    covariance : tuple of str
        Covariance types to try with each.
    criterion : str
        Criterion to minimize.
    """

    components: tuple[int, ...]
    covariance: tuple[CovarianceType, ...] = ("full",)
    criterion: str = "bic"

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of components to try."""
        return self.components

    def estimator(self, **more: Any) -> "GaussianMixtureSelector":
        """A `GaussianMixtureSelector`."""
        from daskgmm.estimators.selector import GaussianMixtureSelector

        return GaussianMixtureSelector(
            self.components,
            covariance_type=self.covariance,
            criterion=self.criterion,
            **self.parameters(),
            **more,
        )

    def outcome(
        self, fitted: "GaussianMixtureSelector"
    ) -> tuple["GaussianMixture", dict[str, Any]]:
        """The best mixture, and the table of all candidates."""
        return fitted.best_estimator_, {
            "criterion": self.criterion,
            "best": fitted.best_index_,
            "candidates": fitted.results_.to_dict("records"),
        }


def select(
    inputs: Paths,
    output: str,
    *,
    components: Sequence[int],
    covariance: CovarianceType | Sequence[CovarianceType] = "full",
    criterion: str = "bic",
    **options: Unpack[FitOptions],
) -> dict[str, Any]:
    """Fit many mixtures in the same passes, and leave a run directory with the best.

    Parameters
    ----------
    inputs, output, options
        As `daskgmm.jobs.fit` takes them.
    components : sequence of int
        Numbers K to try.
    covariance : str or sequence of str
        Covariance types to try with each.
    criterion : str
        Criterion to minimize: ``"bic"``, ``"aic"`` or ``"icl"``.

    Returns
    -------
    dict
        As `daskgmm.jobs.fit`; ``result`` lists all candidates.

    Raises
    ------
    DaskGMMError
        The job failed; the subclass gives the kind of failure.
    """
    types = (covariance,) if isinstance(covariance, str) else tuple(covariance)
    method = SelectionSpec.of(
        options, components=tuple(components), covariance=types, criterion=criterion
    )
    return run_fit(request_of(inputs, output, method, options), options.get("listener")).plain()
