"""Mixtures and moments as they are sent: compact, and the same to the bit."""

import pickle
from dataclasses import replace

import dask
import dask.array as da
import numpy as np
import pytest
from dask.sizeof import sizeof
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture
from daskgmm.model.covariance import covariance_named
from daskgmm.model.expectation import Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.costs import NARROW, WIDE
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.packed import packed_mixture, unpacked_mixture
from daskgmm.passes.expectation import _Sent
from tests.support import reference
from tests.support.clusters import in_threads

K, D = 40, 50


def mixture(kind="full", *, skewed=False):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(K, D, 2 * D))
    matrices = rows @ rows.swapaxes(1, 2) / D
    matrices = (matrices + matrices.swapaxes(1, 2)) / 2
    if skewed:  # by rounding, as an inverse may be
        matrices[:, 0, 1] = np.nextafter(matrices[:, 0, 1], 1)
    values = {"full": matrices, "tied": matrices[0], "diag": matrices[:, 0] ** 2 + 1}[kind]
    covariance = covariance_named(kind)
    means = rng.normal(size=(K, D))
    found = Mixture.from_covariances(covariance, np.full(K, 1 / K), means, values)
    return replace(found, log_weights=np.arange(-K, 0.0))


def size_of(value):
    return len(pickle.dumps(value, protocol=5))


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
def test_a_mixture_that_is_packed_is_the_same_to_the_bit(kind, skewed):
    before = mixture(kind, skewed=skewed)
    after = unpacked_mixture(packed_mixture(before))
    for name in ("weights", "means", "covariances", "factors", "log_weights"):
        assert getattr(after, name).tobytes() == getattr(before, name).tobytes()


def test_parameters_are_sent_by_half_matrices_also_from_worker_to_worker():
    expectation = Expectation((mixture(),), Frame(np.zeros(D), np.ones(D)), np.dtype(float))
    sent = _Sent(expectation)
    half = K * D * (D + 1) * 8
    assert size_of(sent) < 1.1 * half
    arrived = pickle.loads(pickle.dumps(sent))  # noqa: S301  our own
    assert arrived.expectation is arrived.expectation
    assert size_of(arrived) == size_of(sent)
    (found,) = arrived.expectation.mixtures
    assert found.factors.tobytes() == expectation.mixtures[0].factors.tobytes()


@pytest.mark.parametrize(("here", "there"), [(WIDE, NARROW), (NARROW, WIDE)])
def test_a_worker_with_another_processor_takes_the_kernels_of_who_completes_the_moments(
    monkeypatch, here, there
):
    def expectation():
        own = reference.random_mixture("full", 8, 8)
        return Expectation((own,), Frame.identity(8), np.dtype(float), compiled=True)

    choose = "daskgmm.model.kernels.strategy.costs"
    monkeypatch.setattr(choose, lambda: here)
    made = expectation()
    sent = pickle.dumps(_Sent(made))
    monkeypatch.setattr(choose, lambda: there)
    assert expectation().kinds != made.kinds
    arrived = pickle.loads(sent).expectation  # noqa: S301  our own
    assert arrived.kinds == made.kinds
    assert arrived.of_features(np.arange(3)).chosen is None


def moments(touched, order="C"):
    sums = np.zeros((D * (D + 3) // 2 + 1, K), order=order)
    sums[:, touched] = np.random.default_rng(0).uniform(size=(len(sums), len(touched)))
    return Moments(np.zeros((K, D)), sums, np.zeros((0, 0)), -1.0, 7.0, 7)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("touched", [[], [3], range(10, 20), range(K)])
def test_components_that_no_row_touched_are_not_sent(touched, order):
    before = moments(list(touched), order)
    after = pickle.loads(pickle.dumps(before))  # noqa: S301  our own
    assert after.sums.tobytes() == before.sums.tobytes()
    assert_array_equal(after.origins, before.origins)
    assert (after.log_likelihood, after.weight, after.rows) == (-1.0, 7.0, 7)
    column = before.sums[:, :1].nbytes
    assert size_of(before) < len(list(touched)) * column + before.origins.nbytes + 2000


def test_sums_without_weight_are_sent_all_the_same():
    before = moments(range(5))
    before.sums[2, 7] = -0.0
    after = pickle.loads(pickle.dumps(before))  # noqa: S301  our own
    assert after.sums.tobytes() == before.sums.tobytes()


def test_dask_knows_how_much_moments_and_parameters_take():
    assert sizeof([moments([1])]) > moments([1]).sums.nbytes
    assert sizeof(_Sent(Expectation((mixture(),), None, np.dtype(float)))) > K * D * D * 16


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_is_sent_in_part_comes_to_the_same():
    rng = np.random.default_rng(0)
    means = 5 * rng.normal(size=(K, D))
    rows = np.repeat(means, 60, axis=0) + rng.normal(size=(60 * K, D))  # group by group
    X = da.from_array(rows, chunks=(len(rows) // 8, D))

    def fitted():
        start = {"weights_init": np.full(K, 1 / K), "means_init": means}
        model = GaussianMixture(
            K, **start, precisions_init=np.stack([np.eye(D)] * K), max_iter=3, tol=0, reg_covar=1e-3
        )
        model.fit(X)
        return model.means_.tobytes() + model.covariances_.tobytes()

    with dask.config.set(scheduler="synchronous"):
        alone = fitted()
    with in_threads(2):
        assert fitted() == alone
