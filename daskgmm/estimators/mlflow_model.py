"""A fitted mixture as MLflow loads it."""

from typing import Any


class Labels:
    """What MLflow calls.

    Parameters
    ----------
    model : GaussianMixture
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, rows: Any, params: Any = None) -> Any:
        """Most probable component of each row."""
        del params
        return self.model.predict(rows)

    def get_raw_model(self) -> Any:
        """The mixture itself."""
        return self.model


def _load_pyfunc(path: str) -> Labels:
    """MLflow's way in."""
    from daskgmm.estimators.persistence import load

    return Labels(load(path))
