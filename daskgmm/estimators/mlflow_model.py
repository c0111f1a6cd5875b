"""Fitted mixtures as MLflow loads them. MLflow stores this module's path, so it must not move."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture
    from daskgmm.estimators.merged import MergedMixture


class Labels:
    """Model with the methods that MLflow calls.

    Parameters
    ----------
    model : GaussianMixture or MergedMixture
    """

    def __init__(self, model: "GaussianMixture | MergedMixture") -> None:
        self.model = model

    def predict(self, rows: Any, params: Any = None) -> Any:
        """Label each row with its most probable component or cluster."""
        del params
        return self.model.predict(rows)

    def get_raw_model(self) -> "GaussianMixture | MergedMixture":
        """Return the mixture itself."""
        return self.model


def _load_pyfunc(path: str) -> Labels:
    """Load a stored model; MLflow calls this function."""
    from daskgmm.estimators.persistence import load

    return Labels(load(path))
