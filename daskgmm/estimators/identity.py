"""Which fit a checkpoint belongs to: all that its result hangs on, as far as it is known."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from numbers import Integral
from typing import Any, Self

from daskgmm.data.source import Source
from daskgmm.estimators.plain import plain_parameters
from daskgmm.estimators.settings import Candidate
from daskgmm.estimators.values import Arrays, to_plain

_WITHOUT_EFFECT = ("verbose", "verbose_interval", "cache", "warm_start")
_LONGEST_SHOWN = 60


@dataclass(frozen=True, eq=False)
class Identity:
    """What must agree for one fit to go on where another one ended.

    Parameters
    ----------
    facts : mapping
        Plain JSON values.
    seeded : bool
        Whether the user gave the seed; else that of the fit that is gone on with serves.
    """

    facts: Mapping[str, Any]
    seeded: bool

    @classmethod
    def of(
        cls,
        owner: Any,
        estimators: Sequence[Any],
        candidates: Sequence[Candidate],
        source: Source,
        weighting: Any,
    ) -> Self:
        """The identity of a fit.

        Parameters
        ----------
        owner : GaussianMixture or GaussianMixtureSelector
            Whose fit it is.
        estimators : sequence of GaussianMixture
            One for each candidate; they differ in their mixtures' kind only.
        candidates : sequence of Candidate
        source : Source
        weighting : str or bool
            Where sample weights come from.
        """
        parameters = plain_parameters(estimators[0])
        facts = {
            "estimator": type(owner).__name__,
            **{key: one for key, one in parameters.items() if key not in _WITHOUT_EFFECT},
            "random_state": parameters.get("random_state"),
            "n_components": [int(one.n_components) for one in estimators],
            "covariance_type": [one.covariance_type for one in estimators],
            "warm_start": [_digest(one.resume_from) for one in candidates],
            "sample_weight": weighting,
            **_rows(source),
        }
        return cls(json.loads(json.dumps(facts)), isinstance(owner.random_state, Integral))

    def differences(self, facts: Mapping[str, Any]) -> list[str]:
        """What another fit's facts differ in, in words."""
        known = [*self.facts, *(key for key in facts if key not in self.facts)]
        found = []
        for key in known:
            there, here = facts.get(key), self.facts.get(key)
            if there != here and (self.seeded or key != "random_state"):
                shown = f"{key} (there {there!r}, here {here!r})"
                found.append(shown if len(shown) <= _LONGEST_SHOWN else key)
        return found


def _rows(source: Source) -> dict[str, Any]:
    return {
        "number of features": source.n_features,
        "columns": None if source.columns is None else list(source.columns),
        "type of the rows": str(source.dtype),
        "number of parts": len(source.parts),
        "number of rows": None if source.lengths is None else sum(source.lengths),
        "rows of the parts": None if source.lengths is None else _digest(tuple(source.lengths)),
        "block_rows": source.block_rows,
    }


def _digest(value: Any) -> str | None:
    if value is None:
        return None
    arrays: Arrays = {}
    return digest(to_plain(value, "", arrays), arrays)


def digest(plain: Any, arrays: Mapping[str, Any]) -> str:
    """What tells JSON values and arrays from all others."""
    found = sha256(json.dumps(plain).encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
