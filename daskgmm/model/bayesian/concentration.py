"""Priors of a mixture's weights. A new one is a class and a line in the registry.

What rows add to a prior are their counts, so a posterior is an array (K, ...) of the parameters of
a conjugate distribution.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from scipy.special import betaln, digamma, gammaln

from daskgmm.errors import ConfigurationError
from daskgmm.model.typing import Doubles


@dataclass(frozen=True)
class Concentration(ABC):
    """Prior of the weights of K components.

    Parameters
    ----------
    value : float
        Concentration, above 0: the higher it is, the more components hold rows.
    """

    name: ClassVar[str]
    value: float

    @abstractmethod
    def posterior(self, counts: Doubles) -> Doubles:
        """Parameters (K, ...) after rows that the components hold by these counts (K,)."""

    @abstractmethod
    def weights(self, posterior: Doubles) -> Doubles:
        """Expected weights (K,), scaled to sum 1."""

    @abstractmethod
    def log_weights(self, posterior: Doubles) -> Doubles:
        """Expected logarithms (K,) of the weights."""

    @abstractmethod
    def log_normaliser(self, posterior: Doubles) -> float:
        """Logarithm of the integral over all weights of the density without its constant."""


@final
class DirichletDistribution(Concentration):
    """Symmetric Dirichlet distribution, with a posterior (K,)."""

    name: ClassVar[str] = "dirichlet_distribution"

    def posterior(self, counts: Doubles) -> Doubles:
        return self.value + counts

    def weights(self, posterior: Doubles) -> Doubles:
        return np.asarray(posterior / posterior.sum())

    def log_weights(self, posterior: Doubles) -> Doubles:
        return np.asarray(digamma(posterior) - digamma(posterior.sum()))

    def log_normaliser(self, posterior: Doubles) -> float:
        return float(gammaln(posterior).sum() - gammaln(posterior.sum()))


@final
class DirichletProcess(Concentration):
    """Dirichlet process cut off after K sticks (Blei and Jordan, 2006), with a posterior (K, 2).

    Component k takes a share of what those before it leave; the shares have beta distributions.
    The last takes a share as well, so weights sum to less than 1 before they are scaled.
    """

    name: ClassVar[str] = "dirichlet_process"

    def posterior(self, counts: Doubles) -> Doubles:
        after = np.append(np.cumsum(counts[::-1])[-2::-1], 0.0)
        return np.column_stack([1.0 + counts, self.value + after])

    def weights(self, posterior: Doubles) -> Doubles:
        taken, left = (posterior / posterior.sum(axis=1, keepdims=True)).T
        weights = taken * np.append(1.0, np.cumprod(left[:-1]))
        return np.asarray(weights / weights.sum())

    def log_weights(self, posterior: Doubles) -> Doubles:
        taken, left = (digamma(posterior) - digamma(posterior.sum(axis=1, keepdims=True))).T
        return np.asarray(taken + np.append(0.0, np.cumsum(left[:-1])))

    def log_normaliser(self, posterior: Doubles) -> float:
        return float(betaln(*posterior.T).sum())


CONCENTRATIONS: dict[str, type[Concentration]] = {
    kind.name: kind for kind in (DirichletProcess, DirichletDistribution)
}


def concentration_named(name: str) -> type[Concentration]:
    """Look a prior of the weights up by the name that users give it."""
    if not isinstance(name, str) or name not in CONCENTRATIONS:
        raise ConfigurationError(
            f"weight_concentration_prior_type={name!r} is not known.",
            f"Use one of: {', '.join(CONCENTRATIONS)}.",
        )
    return CONCENTRATIONS[name]
