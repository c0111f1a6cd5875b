"""Identity of a fit, by which it knows its checkpoint: all known facts that its result needs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgmm.data.source import Source
from daskgmm.fitting.objective import plain_fixed, plain_prior
from daskgmm.fitting.protocols import Estimator, MixtureParameters
from daskgmm.fitting.stored.tensors import Arrays, digest, to_plain

if TYPE_CHECKING:  # a model is read without what fits one
    from daskgmm.fitting.settings import Candidate

_ARRAYS = ("weights_init", "means_init", "precisions_init", "mean_prior", "covariance_prior")


def plain_parameters(estimator: Estimator) -> dict[str, Any]:
    """Constructor parameters as JSON values, without those that can't be written as such.

    Nor with names of files: a model file must not make a later fit open any.
    """
    found = estimator.get_params(deep=False)
    del found["callbacks"], found["checkpoint"], found["start_from"]
    if isinstance(found["random_state"], np.random.RandomState):
        del found["random_state"]
    for name, plain in (("prior", plain_prior), ("fixed", plain_fixed)):
        if name in found:
            found[name] = plain(found[name])
    if found["dtype"] is not None:
        found["dtype"] = str(np.dtype(found["dtype"]))
    for name in _ARRAYS:
        if found.get(name) is not None:
            found[name] = np.asarray(found[name]).tolist()
    return {name: getattr(value, "item", lambda v=value: v)() for name, value in found.items()}


_WITHOUT_EFFECT = ("verbose", "verbose_interval", "cache", "warm_start")
_LONGEST_SHOWN = 100
_LONGEST_KEPT = 200


@dataclass(frozen=True, eq=False)
class Identity:
    """Facts that must agree for a fit to continue from a checkpoint.

    Parameters
    ----------
    owner : GaussianMixture or GaussianMixtureSelector
        Estimator that is fitted.
    estimators : sequence of GaussianMixture
        One estimator a candidate; only number of components and covariance type differ.
    candidates : sequence of Candidate
    source : Source
    marks : callable
        Returns facts that identify the rows of X; see `daskgmm.estimators.inputs.marks_of`.
    """

    owner: Estimator
    estimators: Sequence[MixtureParameters]
    candidates: "Sequence[Candidate]"
    source: Source
    marks: Callable[[], Mapping[str, Any]]

    @property
    def seed(self) -> Any:
        """The candidates' ``random_state``."""
        return self.estimators[0].random_state

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """The facts as JSON values, each short enough to write after every pass."""
        parameters = plain_parameters(self.estimators[0])
        starts = [_digest(one.resume_from) for one in self.candidates]
        named = any(one.start_from is not None for one in self.estimators)
        facts = {
            "estimator": type(self.owner).__name__,
            **{key: one for key, one in parameters.items() if key not in _WITHOUT_EFFECT},
            "random_state": parameters.get("random_state"),
            "n_components": [int(one.n_components) for one in self.estimators],
            "covariance_type": [one.covariance_type for one in self.estimators],
            "warm_start": [None] * len(starts) if named else starts,
            "start_from": starts if named else None,
            **_rows(self.source),
            **self.marks(),
        }
        return {key: _shortened(one) for key, one in facts.items()}

    def differences(self, facts: Mapping[str, Any]) -> list[str]:
        """Describe each fact in which another fit differs.

        Random states are compared only if the user gave an integer.
        """
        seeded = isinstance(self.owner.random_state, Integral)
        known = [*self.facts, *(key for key in facts if key not in self.facts)]
        found = []
        for key in known:
            there, here = facts.get(key), self.facts.get(key)
            if there != here and (seeded or key != "random_state"):
                shown = f"{key} (there {there!r}, here {here!r})"
                found.append(shown if len(shown) <= _LONGEST_SHOWN else key)
        return found


def _rows(source: Source) -> dict[str, Any]:
    return {
        "number of features": source.n_features,
        "columns": source.columns,
        "type of the rows": str(source.dtype),
        "number of parts": len(source.parts),
        "number of rows": None if source.lengths is None else sum(source.lengths),
        "rows of the parts": source.lengths,
        "block_rows": source.block_rows,
    }


def _shortened(value: Any) -> Any:
    """Return a value as it comes back from JSON, or its digest if the JSON text is long."""
    text = json.dumps(value)
    return json.loads(text) if len(text) <= _LONGEST_KEPT else digest(value, {})


def _digest(value: Any) -> str | None:
    if value is None:
        return None
    arrays: Arrays = {}
    return digest(to_plain(value, "", arrays), arrays)
