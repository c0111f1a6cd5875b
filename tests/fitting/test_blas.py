"""A fit uses one thread of BLAS from its start to its end."""

import numpy as np

from daskgmm import GaussianMixture
from daskgmm.estimators import gaussian_mixture
from daskgmm.fitting import fitted
from daskgmm.passes.engine.blas import running


def test_what_follows_the_last_pass_uses_one_thread_too(monkeypatch):
    """More of them wait for each other where a machine's cores are busy."""
    inside = []

    def noting(function):
        return lambda *given: inside.append(running()) or function(*given)

    for module, name in (gaussian_mixture, "require_held"), (fitted, "flags"):
        monkeypatch.setattr(module, name, noting(getattr(module, name)))
    GaussianMixture(2, random_state=0).fit(np.random.default_rng(0).normal(size=(300, 2)))
    assert len(inside) == 2
    assert all(inside)
    assert running() == 0
