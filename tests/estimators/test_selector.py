"""Candidates that share their passes are what separate fits make of them."""

import inspect
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture as ScikitLearn

from daskgmm import GaussianMixture, GaussianMixtureSelector, load, open_dataset
from daskgmm.errors import CollapsedComponentError, ConfigurationError, DataError
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.scoring import Scorer, Scoring
from tests.support.paths import IRIS
from tests.support.reference import DOUBLE, THEIRS, frame_of, random_mixture
from tests.support.truths import truth
from tests.support.warned import WITH_LITTLE_VARIANCE

KINDS = list(COVARIANCES)
CRITERIA = ["bic", "aic", "icl"]
COLUMNS = ["n_components", "covariance_type", "start", "lower_bound", *CRITERIA, "n_iter"]
SETTINGS = [{"refine": "none"}, {"refine": "none", "subsample": 700, "n_init": 2}]

pytestmark = pytest.mark.filterwarnings(
    "ignore:K = :sklearn.exceptions.ConvergenceWarning",  # of poor starts: one each is meant
    "ignore:The best number of components",
)


def blobs(n=3000, n_features=3, n_clusters=3, distance=9.0, seed=0):
    random = np.random.default_rng(seed)
    centres = distance * np.eye(max(n_clusters, n_features))[:n_clusters, :n_features]
    return centres[random.integers(n_clusters, size=n)] + random.normal(size=(n, n_features))


@pytest.fixture(scope="module")
def rows():
    """Overlapping clusters on unlike scales: no candidate is done in two passes."""
    return blobs(distance=3.0) * [1.0, 20.0, 0.05]


def apart(X, row, **options):
    """The separate fit of a row of the results."""
    model = GaussianMixture(int(row.n_components), covariance_type=row.covariance_type, **options)
    return model.fit(X)


# --- the same as separate fits


@pytest.mark.filterwarnings("ignore:Every mixture that was found has")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", SETTINGS, ids=["full passes", "sampled"])
@pytest.mark.slow
def test_candidates_of_one_type_are_separate_fits_to_the_bit(rows, kind, options):
    X = da.from_array(rows, chunks=((1300, 1, 0, 1699), 3))
    options = {"random_state": 3, "n_init": 1} | options
    found = GaussianMixtureSelector([2, 5, 3], covariance_type=kind, **options).fit(X)
    for number in (2, 5, 3):
        own = found.results_[found.results_.n_components == number]
        model = apart(X, own.iloc[0], **options)
        best = own.loc[own.lower_bound.idxmax()]
        assert (best.lower_bound, best.n_iter) == (model.lower_bound_, model.n_iter_)
        assert best.bic == model.bic(X)
        assert best.aic == model.aic(X)
        assert best.icl == model.icl(X)
        assert best.converged == model.converged_
    chosen = found.best_estimator_
    same = GaussianMixture(**chosen.get_params()).fit(X)
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        assert getattr(same, name).tobytes() == getattr(chosen, name).tobytes()
    assert same.lower_bounds_ == chosen.lower_bounds_


@pytest.mark.slow
@pytest.mark.parametrize("options", SETTINGS, ids=["full passes", "sampled"])
def test_candidates_of_all_types_are_separate_fits_up_to_rounding(rows, options):
    options = {"random_state": 0, "n_init": 1} | options
    found = GaussianMixtureSelector([1, 2, 4], covariance_type=KINDS, **options).fit(rows)
    assert len(found.results_.groupby(["n_components", "covariance_type"])) == 3 * len(KINDS)
    for _, own in found.results_.groupby(["n_components", "covariance_type"]):
        best = own.loc[own.lower_bound.idxmax()]
        model = apart(rows, best, **options)
        assert best.n_iter == model.n_iter_
        expected = [model.lower_bound_, model.bic(rows), model.aic(rows), model.icl(rows)]
        assert_allclose(best[["lower_bound", *CRITERIA]].astype(float), expected, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_candidate_hangs_on_the_others():
    X, options = blobs(400, distance=2.5), {"random_state": 1, "n_init": 2, "max_iter": 8}
    alone = GaussianMixtureSelector(3, **options).fit(X).results_

    @settings(max_examples=15)
    @given(others=st.lists(st.integers(1, 6), max_size=3), place=st.integers(0, 3))
    def as_alone(others, place):
        together = GaussianMixtureSelector([*others[:place], 3, *others[place:]], **options)
        many = together.fit(X).results_
        own = many[many.n_components == 3].iloc[:2].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone, check_exact=True)

    as_alone()


@pytest.mark.slow
def test_criteria_are_scikit_learns(rows):
    options = {"random_state": 0, "reg_covar": 0, "refine": "none"}
    found = GaussianMixtureSelector([1, 3], covariance_type=THEIRS, **options).fit(rows)
    for row in found.results_.itertuples():
        own = GaussianMixture(row.n_components, covariance_type=row.covariance_type)
        own.set_params(**options).fit(rows)
        theirs = ScikitLearn(row.n_components, covariance_type=row.covariance_type)
        theirs.weights_, theirs.means_ = own.weights_, own.means_
        theirs.covariances_ = own.covariances_
        theirs.precisions_cholesky_ = own.precisions_cholesky_
        assert row.bic == pytest.approx(theirs.bic(rows), rel=1e-9)
        assert row.aic == pytest.approx(theirs.aic(rows), rel=1e-9)
        labels = np.log(theirs.predict_proba(rows).max(axis=1)).sum()
        assert row.icl == pytest.approx(theirs.bic(rows) - 2 * labels, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_mixtures_that_are_scored_together_score_as_alone(kind, weighted):
    rows = blobs(500)
    weights = np.random.default_rng(0).uniform(0, 2, 500) if weighted else None
    mixtures = [random_mixture(kind, k, 3, seed=k) for k in (1, 4, 2)]
    others = [random_mixture(other, 2, 3) for other in KINDS]
    frame = frame_of(rows, "spherical")
    many = Scorer(Scoring((*mixtures, *others), frame, DOUBLE)).totals(rows, weights)
    for own, mixture in zip(many, mixtures, strict=False):
        (alone,) = Scorer(Scoring((mixture,), frame, DOUBLE)).totals(rows, weights)
        assert own.tobytes() == alone.tobytes()


@pytest.mark.slow
def test_criteria_count_sample_weights():
    X, weights = blobs(600), np.random.default_rng(0).integers(0, 4, 600)
    options = {"init_params": "random_from_data", "random_state": 0, "tol": 1e-9, "max_iter": 999}
    weighted = GaussianMixtureSelector([1], **options).fit(X, sample_weight=weights)
    repeated = GaussianMixtureSelector([1], **options).fit(np.repeat(X, weights, axis=0))
    columns = ["lower_bound", *CRITERIA]
    assert_allclose(weighted.results_[columns], repeated.results_[columns], rtol=1e-10)


@pytest.mark.slow
def test_refined_candidates_are_separate_fits_or_better_ones(rows):
    found = GaussianMixtureSelector([2, 5, 3], random_state=3).fit(rows)
    for row in found.results_.itertuples():
        model = apart(rows, row, random_state=3)
        same = row.lower_bound == model.lower_bound_ and row.bic == model.bic(rows)
        assert same or row.lower_bound > model.lower_bound_


@pytest.mark.slow
def test_with_more_components_the_bound_never_falls():
    X, _ = truth(3, 2, 6).draw(300, 3)
    options = {"random_state": 3, "tol": 1e-9, "max_iter": 500}
    found = GaussianMixtureSelector(range(1, 7), **options).fit(X)
    assert (np.diff(found.results_.lower_bound) > 0).all()


# --- the choice


@pytest.mark.slow
def test_a_row_that_does_not_count_may_be_so_far_that_it_has_no_density():
    X = blobs(600, 2)
    weights = np.ones(600)
    expected = GaussianMixtureSelector([1, 3], random_state=0).fit(X[1:])
    X[0], weights[0] = 1e170, 0
    found = GaussianMixtureSelector([1, 3], random_state=0).fit(X, sample_weight=weights)
    assert found.best_params_ == expected.best_params_
    assert_allclose(found.results_[CRITERIA], expected.results_[CRITERIA], rtol=1e-6)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.slow
def test_the_best_has_the_least_criterion(rows, criterion):
    found = GaussianMixtureSelector(
        [1, 2], covariance_type=KINDS, criterion=criterion, random_state=0
    ).fit(rows)
    best = found.results_.loc[found.best_index_]
    assert best[criterion] == found.results_[criterion].min()
    assert found.best_params_ == {
        "n_components": best.n_components,
        "covariance_type": best.covariance_type,
    }
    chosen = found.best_estimator_
    assert isinstance(chosen, GaussianMixture)
    assert chosen.lower_bound_ == best.lower_bound
    assert getattr(chosen, criterion)(rows) == pytest.approx(best[criterion], rel=1e-12)


@pytest.mark.parametrize("n_clusters", [2, 3, 5])
@pytest.mark.slow
def test_separated_clusters_are_counted(n_clusters):
    X = blobs(2000, 5, n_clusters, distance=12.0)
    numbers = range(1, n_clusters + 3)
    found = GaussianMixtureSelector(numbers, random_state=0).fit(X).results_
    for criterion in ("bic", "icl"):
        assert found.n_components[found[criterion].idxmin()] == n_clusters


@pytest.mark.slow
def test_the_covariance_type_is_found():
    X = blobs(600, distance=12.0)
    selector = GaussianMixtureSelector([2, 3, 4], covariance_type=KINDS, random_state=0).fit(X)
    assert selector.best_params_ == {"n_components": 3, "covariance_type": "spherical"}


@pytest.mark.slow
def test_iris_has_two_clusters_of_the_bic_that_mclust_finds():
    # R's mclustBIC(iris[, -5]) gives -574.018 (its sign) to its model VVV of two components.
    X = open_dataset(IRIS, columns=["sepal_length", "sepal_width", "petal_length", "petal_width"])
    selector = GaussianMixtureSelector(range(1, 5), covariance_type=KINDS, random_state=0).fit(X)
    assert selector.best_params_ == {"n_components": 2, "covariance_type": "full"}
    assert selector.results_.bic.min() == pytest.approx(574.018, abs=1e-2)


@pytest.mark.slow
def test_of_candidates_that_are_equal_the_first_is_chosen():
    selector = GaussianMixtureSelector(1, n_init=3, covariance_type=("tied", "full"))
    assert selector.fit(blobs(300)).best_index_ == 0
    assert selector.best_params_["covariance_type"] == "tied"


# --- passes


def test_passes_are_those_of_the_longest_candidate(rows):
    found = GaussianMixtureSelector([1, 2, 6], random_state=0, refine="none").fit(rows)
    assert found.results_.n_iter.nunique() == 3
    assert found.n_passes_ == 1 + found.results_.n_iter.max() + 1  # survey, EM, criteria


@pytest.mark.slow
def test_every_part_is_read_once_a_pass(rows, tmp_path):
    def counted(block):
        (tmp_path / f"{len(list(tmp_path.iterdir()))}").touch()
        return block

    X = da.from_array(rows, chunks=(-1, 3)).map_blocks(counted, dtype=float, meta=np.empty((0, 3)))
    with dask.config.set(scheduler="synchronous"):
        found = GaussianMixtureSelector(
            [1, 3], covariance_type=KINDS, random_state=0, cache="none"
        ).fit(X)
    assert len(list(tmp_path.iterdir())) == found.n_passes_


def test_callbacks_hear_of_all_candidates_and_each_has_its_own_history(rows):
    heard = []
    found = GaussianMixtureSelector(
        [2, 4], n_init=2, refine="none", random_state=0, callbacks=[heard.append]
    ).fit(rows)
    assert {len(state.traces) for state in heard} == {4}
    assert len(heard) == found.results_.n_iter.max()
    history = found.best_estimator_.history_
    assert [entry["lower_bound"] for entry in history] == found.best_estimator_.lower_bounds_
    assert [entry["iteration"] for entry in history] == list(range(1, len(history) + 1))


@pytest.mark.slow
def test_it_says_where_the_best_number_is_the_largest_of_several(rows):
    with pytest.warns(UserWarning, match="components, 2, is the largest that was tried"):
        GaussianMixtureSelector([1, 2], random_state=0).fit(blobs(600, distance=9.0))


# --- collapse


def test_a_candidate_that_collapses_at_its_start_is_a_row_without_numbers():
    X = np.repeat(np.array([[0.0, 1.0], [1.0, 0.0], [5.0, 5.0], [9.0, 2.0]]), 20, axis=0)
    found = GaussianMixtureSelector([1, 4], reg_covar=0, random_state=0).fit(X)
    one, four = found.results_.itertuples()
    assert one.converged
    assert (four.n_components, four.start, four.n_iter, four.converged) == (4, 0, 0, False)
    assert np.isnan([four.lower_bound, four.bic, four.aic, four.icl]).all()
    assert found.best_params_["n_components"] == 1


@pytest.mark.slow
def test_a_candidate_that_collapses_later_is_a_row_without_numbers():
    random = np.random.default_rng(0)
    X = np.concatenate([np.full(300, 7.0), random.normal(0, 1, 300)])[:, np.newaxis]
    found = GaussianMixtureSelector([2, 1], reg_covar=0, random_state=0, init_params="random")
    found.set_params(covariance_type="full", tol=1e-12, max_iter=1000).fit(X)
    two, one = found.results_.itertuples()
    assert one.converged
    assert two.n_iter > 0
    assert not two.converged
    assert np.isnan([two.lower_bound, two.bic, two.aic, two.icl]).all()
    assert found.best_params_["n_components"] == 1


def test_only_where_all_collapse_it_is_an_error():
    X = np.repeat(np.array([[0.0, 1.0], [1.0, 0.0], [5.0, 5.0], [9.0, 2.0]]), 20, axis=0)
    with pytest.raises(CollapsedComponentError, match="reg_covar"):
        GaussianMixtureSelector([3, 4], reg_covar=0, random_state=0).fit(X)


# --- inputs and parameters


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numpy", "pandas", "dask array", "dask frame", "dataset"])
def test_every_kind_of_rows_is_selected_on(rows, kind, tmp_path):
    frame = pd.DataFrame(rows, columns=list("abc"))
    frame.to_parquet(tmp_path / "rows.parquet")
    X = {
        "numpy": lambda: rows,
        "pandas": lambda: frame,
        "dask array": lambda: da.from_array(rows, chunks=(1000, 3)),
        "dask frame": lambda: dd.from_pandas(frame, npartitions=3),
        "dataset": lambda: open_dataset(tmp_path),
    }[kind]()
    expected = GaussianMixtureSelector([1, 3], random_state=0).fit(rows)
    found = GaussianMixtureSelector([1, 3], random_state=0).fit(X)
    columns = ["lower_bound", *CRITERIA, "n_iter"]
    assert_allclose(found.results_[columns], expected.results_[columns], rtol=1e-9)
    labels = found.predict(X)
    assert hasattr(labels, "compute") == (kind in ("dask array", "dask frame", "dataset"))
    assert (np.asarray(labels) == expected.predict(rows)).all()
    named = kind in ("pandas", "dask frame", "dataset")
    assert hasattr(found.best_estimator_, "feature_names_in_") == named


@pytest.mark.slow
def test_what_it_says_of_rows_is_what_the_best_says(rows, tmp_path):
    found = GaussianMixtureSelector([1, 3], random_state=0).fit(rows)
    best = found.best_estimator_
    for name in ("predict", "predict_proba", "score_samples", "score", "aic", "bic", "icl"):
        assert np.array_equal(getattr(found, name)(rows), getattr(best, name)(rows))
    assert np.array_equal(found.sample(9)[0], best.sample(9)[0])
    assert (found.fit_predict(rows) == best.predict(rows)).all()
    found.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert loaded.means_.tobytes() == best.means_.tobytes()
    assert loaded.n_features_in_ == 3
    assert loaded.random_state == best.random_state == 0


@WITH_LITTLE_VARIANCE
def test_it_has_the_mixtures_parameters_but_starts_of_its_own(rows):
    own = dict(inspect.signature(GaussianMixtureSelector).parameters)
    theirs = dict(inspect.signature(GaussianMixture).parameters)
    assert own.keys() - theirs.keys() == {"criterion"}
    left_out = {"weights_init", "means_init", "precisions_init", "warm_start", "fixed"}
    assert theirs.keys() - own.keys() == left_out
    for name in own.keys() & theirs.keys() - {"n_components", "covariance_type"}:
        assert own[name].default == theirs[name].default
    options = {"tol": 0.5, "reg_covar": 1e-3, "max_iter": 7, "n_init": 2, "dtype": "float32"}
    options |= {"init_params": "random_from_data", "stopping": "parameters", "subsample": 500}
    chosen = GaussianMixtureSelector(2, **options).fit(rows).best_estimator_.get_params()
    assert {name: chosen[name] for name in options} == options


@pytest.mark.slow
def test_a_fit_changes_no_parameter_and_a_clone_fits_alike(rows):
    selector = GaussianMixtureSelector(range(1, 4), covariance_type=["diag"], random_state=0)
    before = dict(selector.get_params())
    selector.fit(rows)
    assert all(selector.get_params()[name] is value for name, value in before.items())
    pd.testing.assert_frame_equal(clone(selector).fit(rows).results_, selector.results_)


@pytest.mark.slow
def test_a_random_state_gives_one_seed_for_all_which_is_told(rows):
    one, other = (
        GaussianMixtureSelector([2, 3], random_state=np.random.RandomState(5)).fit(rows)
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(one.results_, other.results_)
    seed = one.best_estimator_.random_state
    again = GaussianMixtureSelector([2, 3], random_state=seed).fit(rows)
    pd.testing.assert_frame_equal(one.results_, again.results_)
    shared = np.random.RandomState(5)
    seeds = {
        GaussianMixtureSelector(1, random_state=shared).fit(rows).best_estimator_.random_state
        for _ in range(3)
    }
    assert len(seeds) == 3


def test_results_have_the_promised_columns_and_kinds(rows):
    results = GaussianMixtureSelector([1, 2], n_init=2, random_state=0, refine="none")
    results = results.fit(rows).results_
    assert list(results.columns) == [*COLUMNS, "converged"]
    assert results.start.tolist() == [0, 1, 0, 1]
    assert [results[name].dtype.kind for name in ("n_components", "n_iter", "bic")] == [*"iif"]
    assert results.converged.dtype == bool


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"criterion": "bick"}, "criterion='bick' is not known. Use one of: bic, aic, icl."),
        ({"criterion": None}, "criterion=None"),
        ({"n_components": range(0)}, "range.* names no candidate"),
        ({"n_components": []}, r"is \[\], which names no candidate"),
        ({"n_components": [2, 0]}, "'n_components' parameter of GaussianMixture is 0"),
        ({"n_components": [2, 1.5]}, "1.5"),
        ({"n_components": None}, "names no candidate"),
        ({"covariance_type": ()}, "'covariance_type' .* names no candidate"),
        ({"covariance_type": ("full", "round")}, "covariance_type='round' is not known"),
        ({"tol": -1}, "'tol'"),
        ({"stopping": "never"}, "stopping='never'"),
        ({"subsample": 3, "n_components": [2, 5]}, "'subsample' parameter is 3"),
    ],
)
def test_what_has_no_meaning_is_refused_by_its_value(wrong, said):
    with pytest.raises(ConfigurationError, match=said):
        GaussianMixtureSelector(**wrong).fit(blobs(50))


def test_more_components_than_rows_are_refused():
    with pytest.raises(DataError, match="n_components = 10, n_samples = 7"):
        GaussianMixtureSelector().fit(blobs(7))


def test_it_says_nothing_before_it_is_fitted():
    with pytest.raises(NotFittedError, match="GaussianMixtureSelector"):
        GaussianMixtureSelector().predict(blobs(5))


def test_the_caller_is_warned_where_the_best_has_not_converged(rows):
    with pytest.warns(ConvergenceWarning, match="max_iter") as caught:
        GaussianMixtureSelector([3], max_iter=1, tol=0, random_state=0).fit(rows)
    assert [Path(one.filename).name for one in caught] == [Path(__file__).name]
