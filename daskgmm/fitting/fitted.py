"""A fitted mixture and its columns: to apply to rows, to start from, or to compare with another."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import ConfigurationError
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.fitting.stored.tensors import Arrays, digest, to_plain
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import Predictor
from daskgmm.model.questions.clusters import ClusterPredictor
from daskgmm.model.questions.diagnosis import ComponentReport, coinciding, diagnosed, flags
from daskgmm.model.questions.matching import matching
from daskgmm.passes.engine.blas import one_thread


def bound_a_row(estimator: Any) -> float | None:
    """Lower bound (nats a row) with which an estimator's fit ended, if that is known.

    ``lower_bound_`` of a variational mixture is a total without constants, as in scikit-learn.
    """
    history = getattr(estimator, "history_", None)
    found: float | None = getattr(estimator, "lower_bound_", None)
    return history[-1]["lower_bound"] if history else found


_REMEDY = "Choose the columns that both were fitted on, or another model."


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted mixture and its columns: all that is needed to apply it to rows.

    Parameters
    ----------
    predictor : Predictor
    columns : tuple of str or None
        Names of the features, if the fit had any.
    """

    predictor: Predictor
    columns: tuple[str, ...] | None

    @classmethod
    def of(cls, estimator: FittedMixture) -> Self:
        """Take the mixture and its columns from a fitted estimator."""
        names = getattr(estimator, "feature_names_in_", None)
        columns = None if names is None else tuple(str(name) for name in names)
        return cls(estimator._predictor, columns)  # noqa: SLF001  a protocol's

    @property
    def n_components(self) -> int:
        """Number K of components."""
        return self.predictor.mixture.n_components

    @property
    def n_features(self) -> int:
        """Number D of features."""
        return self.predictor.mixture.n_features

    @property
    def digest(self) -> str:
        """SHA-256 of the mixture's parameters and columns."""
        predictor, arrays = self.predictor, Arrays()
        mixture = to_plain((predictor.mixture, predictor.frame), "", arrays)
        columns = None if self.columns is None else list(self.columns)
        facts = [mixture, str(predictor.dtype), columns]
        if isinstance(predictor, ClusterPredictor):
            facts.append(predictor.clusters.tolist())
        return digest(facts, arrays)

    def over(self, columns: tuple[str, ...] | None, n_features: int, name: str) -> Self:
        """The same over columns in their order; by position where either side has no names.

        Parameters
        ----------
        columns : tuple of str or None
            Names of the columns, if they have any.
        n_features : int
            Number D of columns.
        name : str
            Name of this mixture in errors.

        Raises
        ------
        ConfigurationError
            The mixture was fitted on other columns.
        """
        own = self.columns
        if self.n_features != n_features:
            raise ConfigurationError(
                f"The model in {name} was fitted on {self.n_features} columns, not on "
                f"{n_features}.",
                _REMEDY,
            )
        if own is None or columns is None or own == columns:
            return self
        if unknown := [column for column in columns if column not in own]:
            shown = ", ".join(map(repr, unknown))
            raise ConfigurationError(f"The model in {name} was not fitted on {shown}.", _REMEDY)
        order = np.array([own.index(column) for column in columns])
        predictor = self.predictor
        frame = Frame(predictor.frame.origin[order], predictor.frame.scale[order])
        mixture = predictor.mixture.of_features(order)
        return type(self)(replace(predictor, mixture=mixture, frame=frame), columns)

    def require_components(self, n_components: int, name: str) -> None:
        """Raise ConfigurationError unless there are so many components."""
        if self.n_components != n_components:
            raise ConfigurationError(
                f"The number of components is {self.n_components} in {name}, and {n_components} "
                "here.",
                "Choose the same number, or another model.",
            )

    def require_no_noise(self, subject: str) -> None:
        """Raise ConfigurationError if there is noise, which the subject cannot hold."""
        if self.predictor.mixture.noise is not None:
            raise ConfigurationError(
                f"{subject} cannot hold the noise of this mixture.",
                "Fit without noise, or predict with daskgmm.",
            )

    def of_type(self, covariance: Covariance) -> tuple[Mixture, Frame]:
        """The mixture as one of a covariance type, and a frame that suits the type."""
        mixture, frame = _in_frame_for(covariance, self.predictor.mixture, self.predictor.frame)
        if mixture.covariance is covariance:
            return mixture, frame
        return mixture.with_covariance(covariance), frame

    def permutation(self, reference: "Fitted", name: str) -> NDArray[np.int64]:
        """The permutation (K,) that brings components in the order of a reference's.

        Columns are matched by name where both have names. `name` is the reference's in errors.

        Raises
        ------
        ConfigurationError
            The reference has other columns, or another number of components.
        """
        reference.require_components(self.n_components, name)
        return matching(*self.beside(reference, name))

    def beside(self, reference: "Fitted", name: str) -> tuple[Mixture, Mixture]:
        """The mixture and a reference in the same coordinates, which are near this one's frame.

        Columns are matched by name where both have names. `name` is the reference's in errors.

        Raises
        ------
        ConfigurationError
            The reference has other columns.
        """
        other = reference.over(self.columns, self.n_features, name).predictor
        mixture, frame = _in_frame_for(
            other.mixture.covariance, self.predictor.mixture, self.predictor.frame
        )
        return mixture, other.mixture.outside(other.frame.seen_from(frame))


def reports_of(estimator: FittedMixture) -> list[ComponentReport]:
    """Report on each component of a fitted estimator; no row is read."""
    moments = estimator._moments  # noqa: SLF001  a protocol's
    with one_thread():
        return diagnosed(estimator._predictor, moments, estimator.reg_covar)  # noqa: SLF001


def flags_of(estimator: FittedMixture) -> list[tuple[str, ...]]:
    """Oddities of each component of a fitted estimator; no row is read."""
    found, moments = estimator._predictor, estimator._moments  # noqa: SLF001  a protocol's
    with one_thread():
        return flags(found, moments, estimator.reg_covar, coinciding(found.mixture))


def _in_frame_for(covariance: Covariance, mixture: Mixture, frame: Frame) -> tuple[Mixture, Frame]:
    """A mixture in a frame near its own in which another covariance type has its shape too."""
    suitable = Frame(frame.origin, covariance.compatible_scale(frame.scale))
    if np.array_equal(suitable.scale, frame.scale):
        return mixture, frame
    return mixture.outside(frame.seen_from(suitable)), suitable
