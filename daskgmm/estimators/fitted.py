"""A fitted model without its estimator: scikit-learn alone takes two seconds to import."""

from dataclasses import dataclass
from typing import Any, Self

from daskgmm.fitting.tensors import Arrays, digest, to_plain
from daskgmm.model.prediction import Predictor


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that hangs on a model when it is applied to rows.

    Parameters
    ----------
    predictor : Predictor
    columns : tuple of str or None
        Names of the features that it was fitted on, where they had any.
    """

    predictor: Predictor
    columns: tuple[str, ...] | None

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """What a fitted estimator is made of."""
        names = getattr(estimator, "feature_names_in_", None)
        columns = None if names is None else tuple(str(name) for name in names)
        return cls(estimator._predictor, columns)  # noqa: SLF001  the estimator's own helper

    @property
    def n_features(self) -> int:
        """D."""
        return self.predictor.mixture.n_features

    @property
    def digest(self) -> str:
        """SHA-256 of the mixture's parameters and columns, however it came by them."""
        predictor, arrays = self.predictor, Arrays()
        mixture = to_plain((predictor.mixture, predictor.frame), "", arrays)
        columns = None if self.columns is None else list(self.columns)
        return digest([mixture, str(predictor.dtype), columns], arrays)
