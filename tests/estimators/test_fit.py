"""What `fit` leaves behind, and what the options do."""

import pickle

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as Theirs

from daskgmm import GaussianMixture
from daskgmm.errors import CollapsedComponentError, ConfigurationError, DaskGMMError
from daskgmm.model.covariance import COVARIANCES
from daskgmm.training.states import FitState, StopReason
from tests.support.reference import THEIRS
from tests.support.rows import separated
from tests.support.warned import WITH_SMALL_COMPONENTS

KINDS = list(COVARIANCES)
ARRAYS = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]
each_kind = pytest.mark.parametrize("kind", KINDS)
unconverged = pytest.mark.filterwarnings(
    "ignore:Best performing init:sklearn.exceptions.ConvergenceWarning"
)


# --- attributes


@pytest.mark.slow
@pytest.mark.parametrize("kind", THEIRS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_attributes_have_scikit_learns_names_shapes_and_types(kind, dtype):
    rows = separated().astype(dtype)
    options = {"covariance_type": kind, "random_state": 0}
    ours, theirs = GaussianMixture(3, **options).fit(rows), Theirs(3, **options).fit(rows)
    public = [name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")]
    for name in public:
        assert type(getattr(ours, name)) is type(getattr(theirs, name)) or name in (
            "lower_bound_", "converged_", "n_iter_", "n_features_in_",
        ), name  # fmt: skip
    assert {"weights_", "means_", "converged_", "lower_bounds_"} <= set(public)
    shape = COVARIANCES[kind].shape(3, 2)
    assert ours.covariances_.shape == theirs.covariances_.shape == shape
    assert ours.precisions_.shape == ours.precisions_cholesky_.shape == shape
    assert ours.weights_.shape == (3,)
    assert ours.means_.shape == (3, 2)
    assert {getattr(ours, name).dtype for name in ARRAYS} == {np.dtype(dtype)}
    assert isinstance(ours.lower_bound_, float)
    assert isinstance(ours.n_iter_, int)
    assert ours.lower_bound_ == ours.lower_bounds_[-1]
    assert len(ours.lower_bounds_) == ours.n_iter_


def test_history_is_one_plain_dict_a_pass():
    import json

    rows = separated()
    model = GaussianMixture(3, random_state=0, tol=1e-6).fit(rows)
    assert len(model.history_) == model.n_iter_
    for number, entry in enumerate(model.history_, start=1):
        assert list(entry) == [
            "iteration",
            "lower_bound",
            "change",
            "seconds",
            "rows",
            "bytes_read",
        ]
        assert entry["iteration"] == number
        assert entry["lower_bound"] == model.lower_bounds_[number - 1]
        assert entry["rows"] == 300
        assert entry["bytes_read"] == 300 * 2 * 8
    assert json.loads(json.dumps(model.history_, allow_nan=True))[1:] == model.history_[1:]
    assert (model.n_rows_, model.n_passes_) == (300, model.n_iter_ + 1)


def test_attributes_are_copies():
    model = GaussianMixture(3, random_state=0, refine="none").fit(separated())
    before = model.means_
    model.means_[:] = 7
    model.covariances_[:] = 7
    assert_array_equal(model.means_, before)


def test_before_a_fit_there_is_nothing_and_that_is_said():
    model = GaussianMixture()
    assert not hasattr(model, "means_")
    for call in (
        lambda: model.predict([[1.0, 2.0]]),
        lambda: model.score([[1.0, 2.0]]),
        model.sample,
        model.to_sklearn,
        lambda: model.save("nowhere"),
        lambda: model.means_,
    ):
        with pytest.raises(NotFittedError):
            call()


def test_clone_parameters_and_pickle():
    model = GaussianMixture(
        3, covariance_type="diag", subsample=500, stopping="parameters", random_state=1
    )
    assert clone(model).get_params() == model.get_params()
    assert next(iter(model.get_params())) == "acceleration"
    theirs = set(Theirs().get_params())
    assert theirs <= set(model.get_params())
    assert {k: v for k, v in GaussianMixture().get_params().items() if k in theirs} == (
        Theirs().get_params()
    )
    rows = separated()
    model.fit(rows)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301  our own
    assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert not hasattr(clone(model), "means_")


def test_fit_leaves_parameters_and_rows_as_they_were():
    rows, random = separated(), np.random.RandomState(0)
    kept, options = rows.copy(), {"weights_init": [0.2, 0.3, 0.5], "random_state": random}
    model = GaussianMixture(3, **options)
    before = model.get_params()
    model.fit(rows)
    after = model.get_params()
    assert all(after[name] is before[name] for name in before)
    assert_array_equal(rows, kept)


def test_a_random_state_moves_on_as_scikit_learns_does():
    rows = separated()
    one, other = np.random.RandomState(5), np.random.RandomState(5)
    options = {"init_params": "random", "n_init": 3, "tol": 1e-1}
    GaussianMixture(3, random_state=one, **options).fit(rows)
    Theirs(3, random_state=other, **options).fit(rows)
    assert one.randint(2**31) == other.randint(2**31)


# --- going on


@each_kind
@unconverged
def test_warm_start_goes_on_where_the_last_fit_stopped(kind):
    rows = separated(apart=2.0)
    options = {"covariance_type": kind, "random_state": 0, "tol": 0}
    whole = GaussianMixture(3, max_iter=9, **options).fit(rows)
    warm = GaussianMixture(3, max_iter=3, warm_start=True, **options)
    bounds = [
        *warm.fit(rows).lower_bounds_,
        *warm.fit(rows).lower_bounds_,
        *warm.fit(rows).lower_bounds_,
    ]
    assert_allclose(bounds, whole.lower_bounds_, rtol=1e-13)
    assert_allclose(warm.means_, whole.means_, rtol=1e-11)


def test_a_warm_start_at_the_optimum_converges_at_once():
    rows = separated()
    model = GaussianMixture(3, random_state=0, warm_start=True, tol=1e-6).fit(rows)
    assert model.fit(rows).n_iter_ == 1
    assert model.converged_


@unconverged
def test_a_warm_start_takes_other_rows_in_their_own_coordinates():
    rows = separated()
    model = GaussianMixture(3, random_state=0, refine="none", warm_start=True).fit(rows)
    theirs = Theirs(3, random_state=0, warm_start=True).fit(rows)
    other = 1.3 * separated(seed=1) + 2
    model.fit(other)
    theirs.fit(other)
    assert_allclose(model.means_, theirs.means_, rtol=1e-9)
    assert model.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize(("before", "after"), [("tied", "full"), ("full", "diag")])
def test_a_warm_start_with_another_covariance_type_is_refused_or_honoured(before, after):
    rows = separated()
    model = GaussianMixture(3, covariance_type=before, warm_start=True, random_state=0).fit(rows)
    model.set_params(covariance_type=after)
    try:
        model.fit(rows)
    except ConfigurationError:
        return
    assert model.covariances_.shape == COVARIANCES[after].shape(3, 2)


@pytest.mark.parametrize("kind", THEIRS)
def test_no_iteration_leaves_the_start_as_it_is(kind):
    rows = separated()
    options = {"covariance_type": kind, "max_iter": 0, "random_state": 0}
    ours, theirs = GaussianMixture(3, **options).fit(rows), Theirs(3, **options).fit(rows)
    for name in ARRAYS:
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-12)
    assert (ours.converged_, ours.n_iter_, ours.lower_bounds_) == (False, 0, [])
    assert ours.predict(rows).shape == (300,)


# --- starts on a sample


@pytest.mark.slow
@each_kind
def test_starts_on_a_sample_save_passes_and_end_no_worse(kind):
    random = np.random.default_rng(0)
    n, d, k = 100_000, 4, 4
    centres = random.normal(0, 1.5, (k, d))
    X = da.from_array(centres[random.integers(0, k, n)] + random.normal(size=(n, d)), chunks=20_000)
    options = {"covariance_type": kind, "tol": 1e-4, "max_iter": 300, "random_state": 0}
    quick = GaussianMixture(k, **options).fit(X)
    slow = GaussianMixture(k, refine="none", **options).fit(X)
    assert quick.converged_
    assert quick.n_passes_ < slow.n_passes_
    assert quick.lower_bound_ > slow.lower_bound_ - options["tol"] * 3


@pytest.mark.slow
def test_a_sample_of_all_rows_changes_nothing():
    rows = separated()
    plain = GaussianMixture(3, subsample=None, random_state=0).fit(rows)
    for subsample in ("auto", 300, 10**6):
        same = GaussianMixture(3, subsample=subsample, random_state=0).fit(rows)
        assert_array_equal(same.means_, plain.means_)


@pytest.mark.slow
def test_several_starts_share_passes_and_the_best_is_kept():
    rows = separated(apart=2.5)
    options = {"init_params": "random_from_data", "max_iter": 500, "tol": 1e-3, "reg_covar": 1e-2}
    options["refine"] = "none"
    several = GaussianMixture(3, n_init=5, random_state=0, **options).fit(rows)
    random = np.random.RandomState(0)
    singles = [GaussianMixture(3, random_state=random, **options).fit(rows) for _ in range(5)]
    best = max(singles, key=lambda one: one.lower_bound_)
    assert_allclose(several.lower_bound_, best.lower_bound_, rtol=1e-9)
    assert len(several.history_) == max(one.n_iter_ for one in singles)
    assert several.n_passes_ == 1 + len(several.history_)


# --- observers


def test_callbacks_see_each_state_of_the_fit():
    seen = []
    model = GaussianMixture(3, random_state=0, tol=1e-6, callbacks=[seen.append]).fit(separated())
    assert [state.iteration for state in seen] == list(range(1, model.n_iter_ + 1))
    assert all(isinstance(state, FitState) for state in seen)
    assert seen[-1].best.stopped is StopReason.CONVERGED
    assert seen[-1].best.lower_bounds == tuple(model.lower_bounds_)


def test_an_error_in_a_callback_ends_the_fit_and_blas_has_its_threads_back():
    from threadpoolctl import threadpool_info

    def fail(state):
        raise KeyError("mine")

    before = [one["num_threads"] for one in threadpool_info()]
    with pytest.raises(KeyError, match="mine"):
        GaussianMixture(3, callbacks=[fail]).fit(separated())
    assert [one["num_threads"] for one in threadpool_info()] == before


def test_verbose_speaks_scikit_learns_words(capsys):
    rows = separated()
    options = {"random_state": 0, "verbose": 1, "verbose_interval": 2, "tol": 1e-6}
    GaussianMixture(3, refine="none", **options).fit(rows)
    ours = capsys.readouterr().out
    Theirs(3, **options).fit(rows)
    theirs = capsys.readouterr().out
    assert [line.split(".")[0] for line in ours.splitlines()] == [
        line.split(".")[0] for line in theirs.splitlines()
    ]
    GaussianMixture(3, random_state=0, verbose=2, verbose_interval=1).fit(rows)
    assert "ll change" in capsys.readouterr().out


# --- parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", 0), ("n_components", 1.5), ("n_components", "3"), ("tol", -1e-3),
        ("tol", np.nan), ("reg_covar", -1.0), ("max_iter", -1), ("max_iter", 2.5), ("n_init", 0),
        ("covariance_type", "round"), ("init_params", "magic"), ("stopping", "never"),
        ("acceleration", "aitken"), ("acceleration", 3),
        ("subsample", 1), ("subsample", "some"), ("subsample", 2.5), ("dtype", "int32"),
        ("dtype", "nonsense"), ("verbose", -1), ("verbose_interval", 0),
        ("weights_init", [0.5, 0.5, 0.5]), ("weights_init", [1.0]), ("weights_init", [2, -1, 0]),
        ("means_init", [[1, 2]]), ("means_init", [[np.nan, 0], [0, 0], [1, 1]]),
        ("precisions_init", np.zeros((3, 2, 2))), ("precisions_init", np.eye(2)),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_refused_with_its_value(name, value):
    with pytest.raises(ConfigurationError) as caught:
        GaussianMixture(**{"n_components": 3, name: value}).fit(separated())
    if np.ndim(value) == 0:
        assert repr(value) in str(caught.value)
    else:
        assert name.removesuffix("_init").removesuffix("s") in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("name", "value"),
    [("random_state", "x"), ("callbacks", 5), ("covariance_type", ["full"]), ("reg_covar", np.inf)],
)
def test_these_wrong_parameters_are_refused_too(name, value):
    with pytest.raises(ConfigurationError):
        GaussianMixture(**{"n_components": 3, name: value}).fit(separated())


def test_fewer_rows_than_components_is_told():
    with pytest.raises(DaskGMMError, match="n_components = 4, n_samples = 3"):
        GaussianMixture(4).fit(separated(3))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@WITH_SMALL_COMPONENTS
def test_equal_rows_collapse_without_regularisation_and_do_not_with_it():
    rows = np.ones((20, 2))
    with pytest.raises(CollapsedComponentError, match="Component 0 of 2"):
        GaussianMixture(2, reg_covar=0, random_state=0).fit(rows)
    with pytest.warns(UserWarning, match="constant"):
        model = GaussianMixture(2, random_state=0).fit(rows)
    assert np.isfinite(model.score(rows))
    assert_allclose(model.means_, 1)


# --- drawing rows


@each_kind
def test_drawn_rows_have_the_models_moments(kind):
    model = GaussianMixture(3, covariance_type=kind, random_state=0, refine="none").fit(
        separated(apart=3.0)
    )
    X, labels = model.sample(200_000)
    assert X.shape == (200_000, 2)
    assert (np.diff(labels) >= 0).all()  # by component, as in scikit-learn
    for k in range(3):
        own = X[labels == k]
        assert abs(len(own) / 200_000 - model.weights_[k]) < 5e-3
        deviation = model._fitted().deviations[k]
        assert_allclose(own.mean(axis=0), model.means_[k], atol=5 * deviation.max() / 200)
        assert_allclose(own.std(axis=0), deviation, rtol=0.02)
    assert abs(model.score(X) - np.mean(model.score_samples(X))) < 1e-9


def test_drawn_rows_are_normal_after_whitening():
    model = GaussianMixture(1, random_state=3).fit(separated() @ [[1, 0.8], [0, 0.1]])
    X, _ = model.sample(20_000)
    white = (X - model.means_[0]) @ model.precisions_cholesky_[0]
    for column in white.T:
        assert kstest(column, "norm").pvalue > 0.01  # the seed is fixed
    assert abs(np.corrcoef(white.T)[0, 1]) < 0.03


def test_draws_honour_the_seed_and_how_many_are_asked_for():
    model = GaussianMixture(3, random_state=0, refine="none").fit(separated())
    assert_array_equal(model.sample(50)[0], model.sample(50)[0])
    shared = GaussianMixture(3, random_state=np.random.RandomState(0)).fit(separated())
    assert not np.array_equal(shared.sample(50)[0], shared.sample(50)[0])
    assert model.sample()[0].shape == (1, 2)
    for wrong in (0, -3, 1.5):
        with pytest.raises(ConfigurationError, match=str(wrong)):
            model.sample(wrong)


@pytest.mark.slow
def test_more_rows_than_fit_into_memory_are_drawn_lazily():
    model = GaussianMixture(3, random_state=0, refine="none").fit(separated())
    X, labels = model.sample(10**10)  # 160 GB
    assert isinstance(X, da.Array)
    assert X.shape == (10**10, 2)
    assert labels.shape == (10**10,)
    assert labels[-1000:].compute().max() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "spherical"])
def test_lazy_draws_have_the_moments_too_and_honour_the_seed(kind):
    model = GaussianMixture(3, covariance_type=kind, random_state=0, refine="none").fit(separated())
    X, labels = model.sample(10**7)
    again, _ = model.sample(10**7)
    rows, own = da.compute(X[:1_500_000], labels[:1_500_000])
    assert X.chunks[0] == labels.chunks[0]
    assert_array_equal(again[:1000].compute(), rows[:1000])
    assert adjusted_rand_score(model.predict(rows[:5000]), own[:5000]) > 0.95
    for k in range(3):
        assert abs((own == k).mean() - model.weights_[k]) < 3e-3
        assert_allclose(rows[own == k].mean(axis=0), model.means_[k], atol=0.02)
    first, second = rows[: X.chunks[0][0]][:1000], rows[X.chunks[0][0] :][:1000]
    assert len(second) == 1000
    assert not np.allclose(first, second)


# --- criteria


@each_kind
def test_criteria_are_what_they_are_defined_as(kind):
    rows = separated(apart=2.0)
    model = GaussianMixture(3, covariance_type=kind, random_state=0, refine="none").fit(rows)
    likelihood, n_parameters = model.score_samples(rows).sum(), model._n_parameters()
    assert n_parameters == 2 + 3 * 2 + COVARIANCES[kind].n_parameters(3, 2)
    certainty = np.log(model.predict_proba(rows).max(axis=1)).sum()
    assert_allclose(model.score(rows), likelihood / 300, rtol=1e-12)
    assert_allclose(model.aic(rows), -2 * likelihood + 2 * n_parameters, rtol=1e-12)
    bic = -2 * likelihood + np.log(300) * n_parameters
    assert_allclose(model.bic(rows), bic, rtol=1e-12)
    assert_allclose(model.icl(rows), bic - 2 * certainty, rtol=1e-12)
    assert model.icl(rows) > model.bic(rows)


@pytest.mark.slow
def test_fit_predict_is_fit_then_predict():
    rows = separated()
    one = GaussianMixture(3, random_state=0).fit_predict(rows)
    assert_array_equal(one, GaussianMixture(3, random_state=0).fit(rows).predict(rows))


def test_not_converging_warns_once_and_at_the_callers_line():
    with pytest.warns(ConvergenceWarning) as caught:
        GaussianMixture(3, random_state=0, max_iter=1, tol=0).fit(separated())
    assert len(caught) == 1
    assert caught[0].filename == __file__
