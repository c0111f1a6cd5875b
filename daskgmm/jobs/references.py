"""Models that a job starts from, or in whose order it brings the components of its result."""

import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from daskgmm.data.dataset import Dataset
from daskgmm.fitting.fitted import Fitted
from daskgmm.jobs.models import Model, find_model

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class References:
    """Models that a job refers to.

    Parameters
    ----------
    start_from : Model or None
        Model whose parameters are the start.
    align_to : Model or None
        Model in whose order components are brought.
    """

    start_from: Model | None = None
    align_to: Model | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Read the models that the options of a job name."""
        stores = options.get("storage_options")

        def found(name: str) -> Model | None:
            given = options.get(name)
            return None if given is None else find_model(os.fspath(given), stores)

        return cls(found("start_from"), found("align_to"))

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

    def configuration(self) -> dict[str, Any]:
        """Digests of the models' files, as a run's result depends on their content."""
        models = {"start_from": self.start_from, "align_to": self.align_to}
        return {name: model.sha256 for name, model in models.items() if model is not None}

    def facts(self) -> dict[str, Any]:
        """Identities of the models for a run's record."""
        models = {"started_from": self.start_from, "aligned_to": self.align_to}
        return {name: model.identity() for name, model in models.items() if model is not None}

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
