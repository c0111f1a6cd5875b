"""Models that a job starts from, or in whose order it brings the components of its result."""

import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.dataset import Dataset
from daskgmm.errors import ConfigurationError
from daskgmm.fitting.fitted import Fitted
from daskgmm.fitting.protocols import Estimator
from daskgmm.jobs.models import SavedModel, find_model
from daskgmm.model.covariance import covariance_named

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture

logger = logging.getLogger(__name__)


PARTS = ("means", "weights", "covariances")
"""Parts of a model that may stay."""


def _require_parts(fix: tuple[str, ...], model: Any) -> None:
    unknown = [part for part in fix if part not in PARTS]
    if unknown:
        raise ConfigurationError(
            f"--fix {unknown[0]} is not known.", f"Use any of {', '.join(PARTS)}."
        )
    if bool(fix) != (model is not None):
        raise ConfigurationError(
            "--fix and --fix-from belong together, and one of them is missing.",
            "Name the parts that stay, and the model that they come from.",
        )


@dataclass(frozen=True)
class References:
    """Models that a job refers to.

    Parameters
    ----------
    start_from : SavedModel or None
        Model whose parameters are the start.
    align_to : SavedModel or None
        Model in whose order components are brought.
    fix_from : SavedModel or None
        Model whose components stay.
    fix : tuple of str
        Which parts of them.
    """

    start_from: SavedModel | None = None
    align_to: SavedModel | None = None
    fix_from: SavedModel | None = None
    fix: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Read the models that the options of a job name."""
        stores = options.get("storage_options")

        def found(name: str) -> SavedModel | None:
            given = options.get(name)
            return None if given is None else find_model(os.fspath(given), stores)

        fix = tuple(options.get("fix") or ())
        _require_parts(fix, options.get("fix_from"))
        return cls(found("start_from"), found("align_to"), found("fix_from"), fix)

    @property
    def start(self) -> Fitted | None:
        """The mixture to start from."""
        return None if self.start_from is None else self.start_from.fitted

    def require_fit(self, dataset: Dataset, numbers: Collection[int]) -> None:
        """Refuse models of other columns or numbers of components, before any work is done.

        Parameters
        ----------
        dataset : Dataset
            Rows of the job.
        numbers : collection of int
            Numbers of components of its candidates, of which one has to be the model's.

        Raises
        ------
        ConfigurationError
            A model was fitted on other columns, or has another number of components.
        """
        for flag, model in (("--start-from", self.start_from), ("--align-to", self.align_to)):
            if model is not None:
                name, columns = f"{flag} {model.name}", dataset.columns
                own = model.fitted.over(columns and tuple(columns), dataset.n_features, name)
                if own.n_components not in numbers:
                    own.require_components(next(iter(numbers)), name)
        if self.fix_from is not None:
            self._fixed_components(dataset, max(numbers))

    def configuration(self) -> dict[str, Any]:
        """Digests of the models' files, as a run's result depends on their content."""
        models = {
            "start_from": self.start_from, "align_to": self.align_to, "fix_from": self.fix_from,
        }  # fmt: skip
        found = {name: model.sha256 for name, model in models.items() if model is not None}
        return found | ({"fix": sorted(self.fix)} if self.fix else {})

    def facts(self) -> dict[str, Any]:
        """Identities of the models for a run's record."""
        models = {
            "started_from": self.start_from, "aligned_to": self.align_to,
            "fixed_from": self.fix_from,
        }  # fmt: skip
        return {name: model.identity() for name, model in models.items() if model is not None}

    def fixed(self, estimator: Estimator, dataset: Dataset) -> dict[str, Any]:
        """Parameters of an estimator by which parts of components stay, which come first."""
        if self.fix_from is None:
            return {}
        number, covariance = estimator.n_components, covariance_named(estimator.covariance_type)
        own, frame = self._fixed_components(dataset, number).of_type(covariance)
        mixture = own.outside(frame)
        values = {
            "weights": ("weights_init", mixture.weights),
            "means": ("means_init", mixture.means),
            "covariances": ("precisions_init", covariance.precisions(mixture.factors)),
        }
        masks, given = {}, {}
        for part in self.fix:
            parameter, value = values[part]
            shared = part == "covariances" and covariance.needs_scatter
            masks[part] = np.arange(number) < (number if shared else mixture.n_components)
            more = 0 if shared else number - len(value)
            unknown = np.full((more, *value.shape[1:]), np.nan)
            given[parameter] = np.concatenate([value, unknown])
        return {"fixed": masks, **given}

    def _fixed_components(self, dataset: Dataset, number: int) -> Fitted:
        """The components that stay, in the dataset's columns; no more than a number of them."""
        assert self.fix_from is not None  # noqa: S101  asked for only where there are some
        name, columns = f"--fix-from {self.fix_from.name}", dataset.columns
        own = self.fix_from.fitted.over(columns and tuple(columns), dataset.n_features, name)
        if own.n_components > number:
            own.require_components(number, name)
        if "weights" in self.fix and own.n_components < number:
            raise ConfigurationError(
                f"The {own.n_components} weights in {name} sum to 1, which leaves nothing to the "
                f"other {number - own.n_components} components.",
                "Leave weights out of --fix.",
            )
        return own

    def order(self, model: "GaussianMixture") -> NDArray[np.int64]:
        """The permutation (K,) in which a job's model is kept.

        If a selection chose another number of components than the reference has, it is their own.
        """
        reference, n_components = self.align_to, len(model.weights_)
        if reference is None:
            return np.arange(n_components)
        if reference.fitted.n_components != n_components:
            logger.warning(
                "The chosen mixture has %d components, and %s has %d: they keep their own order.",
                n_components,
                reference.name,
                reference.fitted.n_components,
            )
            return np.arange(n_components)
        return model.match(reference.fitted)
