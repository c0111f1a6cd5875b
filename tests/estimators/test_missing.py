"""Fits, updates, selections and predictions of rows with missing values."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, GaussianMixtureSelector, load, open_dataset
from daskgmm.errors import ConfigurationError, DataError
from daskgmm.fitting.fit import Fit
from tests.support import missing
from tests.support.clusters import in_threads

MEANS = np.array([[0.0, 0.0, 0.0], [6.0, 0.0, 3.0], [0.0, 6.0, -3.0]])
WEIGHTS = np.array([0.5, 0.3, 0.2])
KINDS = ("full", "tied", "diag", "spherical")

pytestmark = pytest.mark.filterwarnings(
    "ignore:Best performing init:sklearn.exceptions.ConvergenceWarning"
)
each_kind = pytest.mark.parametrize("kind", KINDS)


def rows(n, seed=0, dtype=float):
    """Rows of three correlated clusters, and the clusters' factors."""
    random = np.random.default_rng(seed)
    factors = 0.5 * np.random.default_rng(1).normal(size=(3, 3, 3)) + np.eye(3)
    labels = random.choice(3, size=n, p=WEIGHTS)
    X = MEANS[labels] + np.einsum("nij,nj->ni", factors[labels], random.normal(size=(n, 3)))
    return X.astype(dtype), factors @ factors.swapaxes(1, 2)


def gappy(n=1500, share=0.2, **more):
    return missing.with_gaps(rows(n, **more)[0], share).astype(more.get("dtype", float))


def mixture(kind="full", how="marginalize", **more):
    options = {"covariance_type": kind, "random_state": 0, "missing": how, "refine": "none"}
    return GaussianMixture(3, **options | more)


def start(kind):
    """Start values, and a few passes."""
    precisions = {
        "full": np.stack([np.eye(3)] * 3), "tied": np.eye(3), "diag": np.ones((3, 3)),
        "spherical": np.ones(3),
    }  # fmt: skip
    values = {"weights_init": WEIGHTS, "means_init": MEANS + 1, "precisions_init": precisions[kind]}
    return values | {"tol": 0, "max_iter": 4}


def parameters(model):
    return model.weights_, model.means_, model.covariances_


def assert_same_bits(one, other):
    for mine, theirs in zip(parameters(one), parameters(other), strict=True):
        assert_array_equal(mine, theirs)
    assert one.lower_bounds_ == other.lower_bounds_


# --- what is fitted


@pytest.mark.slow
@each_kind
@pytest.mark.parametrize("how", ["drop", "marginalize"])
def test_with_nothing_missing_it_is_the_ordinary_fit_to_the_bit(kind, how):
    X, _ = rows(2000)
    refine = "auto" if kind == "full" else "none"
    ordinary, found = (mixture(kind, one, refine=refine).fit(X) for one in ("error", how))
    assert_same_bits(ordinary, found)
    assert found.n_rows_dropped_ == 0
    assert_same_bits(ordinary.partial_fit(X), found.partial_fit(X))
    assert_array_equal(ordinary.predict_proba(X), found.predict_proba(X))
    assert ordinary.bic(X) == found.bic(X)


@pytest.mark.slow
def test_thirty_percent_missing_at_random_recovers_the_parameters():
    X, covariances = rows(40_000)
    found = mixture(tol=1e-6, max_iter=500).fit(missing.with_gaps(X))
    order = np.argmin(((found.means_ - MEANS[:, None]) ** 2).sum(axis=2), axis=1)
    # Of a share of 0.7 or more of a component's rows; five standard errors.
    counts = 0.5 * 40_000 * WEIGHTS
    errors = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2) / counts[:, None])
    assert (np.abs(found.means_[order] - MEANS) < 5 * errors).all()
    assert_allclose(found.weights_[order], WEIGHTS, atol=0.02)
    assert_allclose(found.covariances_[order], covariances, atol=0.15)


@each_kind
def test_the_likelihood_never_falls_and_is_the_score(kind):
    X = gappy(800)
    found = mixture(kind, reg_covar=0, tol=0, max_iter=20).fit(X)
    assert (np.diff(found.lower_bounds_) > -1e-12 * np.abs(found.lower_bounds_[1:])).all()
    assert found.score(X) == pytest.approx(found.score_samples(X).mean(), rel=1e-12)
    assert found.score(X) >= found.lower_bounds_[-1] - 1e-9


@each_kind
def test_rows_that_are_dropped_are_as_if_absent(kind):
    X = gappy()
    complete = X[~np.isnan(X).any(axis=1)]
    found, expected = mixture(kind, "drop").fit(X), mixture(kind, "error").fit(complete)
    for mine, theirs in zip(parameters(found), parameters(expected), strict=True):
        assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3)  # the sample is in another order
    assert found.n_rows_ == len(complete)
    assert found.n_rows_dropped_ == len(X) - len(complete)
    assert found.bic(X) == pytest.approx(found.bic(complete), rel=1e-12)
    with pytest.raises(DataError, match="is NaN"):
        found.predict(X)
    found.partial_fit(X)
    assert found.n_rows_dropped_ == 2 * (len(X) - len(complete))


@each_kind
def test_weights_count_as_repeated_rows(kind):
    X = gappy(600)
    weights = np.arange(len(X)) % 3
    one = mixture(kind, **start(kind)).fit(X, sample_weight=weights)
    other = mixture(kind, **start(kind)).fit(np.repeat(X, weights, axis=0))
    for mine, theirs in zip(parameters(one), parameters(other), strict=True):
        assert_allclose(mine, theirs, rtol=1e-8, atol=1e-9)
    assert_allclose(one.lower_bounds_, other.lower_bounds_, rtol=1e-10)


@pytest.mark.slow
def test_partial_fit_is_a_step_of_em():
    X = gappy(900)
    model = mixture().fit(X)
    inside = model._predictor.mixture
    expected = missing.step(model._predictor.frame.enter(X), inside)
    model.reg_covar = 0.0
    model.partial_fit(X, forgetting=0)
    assert_allclose(model.weights_, expected[1], rtol=1e-9)
    found = model._predictor.mixture
    assert_allclose(found.means, expected[2], rtol=1e-9, atol=1e-9)
    assert_allclose(found.covariances, expected[3], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_a_selection_chooses_by_what_is_known():
    X = gappy(1500)
    found = GaussianMixtureSelector(
        range(1, 5), covariance_type=("full", "tied"), random_state=0, missing="marginalize"
    ).fit(X)
    assert found.best_params_["n_components"] == 3
    assert found.results_.bic.min() == pytest.approx(found.best_estimator_.bic(X), rel=1e-12)
    assert_array_equal(found.predict(X), found.best_estimator_.predict(X))


@each_kind
def test_single_precision_is_near_double(kind):
    X = gappy(2000)
    single = mixture(kind, dtype="float32", tol=1e-5).fit(X)
    double = mixture(kind, tol=1e-5).fit(X)
    assert single.means_.dtype == np.float32
    assert_allclose(single.align_to(double).means_, double.means_, atol=1e-2)


# --- what is predicted


@each_kind
def test_predictions_are_those_of_the_marginal_mixture(kind):
    X = gappy(1200)
    model = mixture(kind).fit(X)
    for gaps in ([0], [1, 2]):
        known = [d for d in range(3) if d not in gaps]
        own = X[np.isnan(X[:, gaps]).all(axis=1) & ~np.isnan(X[:, known]).any(axis=1)]
        marginal = model.marginal(known)
        assert_allclose(model.score_samples(own), marginal.score_samples(own[:, known]), rtol=1e-9)
        shares = marginal.predict_proba(own[:, known])
        assert_allclose(model.predict_proba(own), shares, rtol=1e-7, atol=1e-9)
        assert_array_equal(model.predict(own), shares.argmax(axis=1))
    nothing = np.full((2, 3), np.nan)
    assert_allclose(model.predict_proba(nothing), [model.weights_] * 2, rtol=1e-12)
    assert_allclose(model.score_samples(nothing), 0, atol=1e-12)


def test_a_model_file_keeps_what_missing_values_count_as(tmp_path):
    X = gappy(500)
    model = mixture().fit(X)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.missing == "marginalize"
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    merged = model.merge(2, criterion="overlap")
    assert_allclose(merged.predict_proba(X).sum(axis=1), 1)


# --- inputs


def same_rows(X, folder):
    """The same rows, with what is missing as each input has it."""
    names = ["a", "b", "c"]
    frame = pd.DataFrame(X, columns=names)
    table = pa.table({name: pa.array(X[:, i], from_pandas=True) for i, name in enumerate(names)})
    pq.write_table(table, folder / "null.parquet", row_group_size=200)
    pq.write_table(pa.table(dict(zip(names, X.T, strict=True))), folder / "nan.parquet")
    frame.to_csv(folder / "rows.csv", index=False)
    np.save(folder / "rows.npy", X)
    return {
        "masked": np.ma.masked_invalid(X),
        "pandas": frame,
        "pandas.NA": frame.astype("Float64"),
        "polars": pl.DataFrame(table),
        "dask array": da.from_array(X, chunks=(150, 3)),
        "masked dask array": da.ma.masked_invalid(da.from_array(X, chunks=(150, 3))),
        "dask frame": dd.from_pandas(frame.astype("Float64"), npartitions=4),
        "parquet with null": open_dataset(folder / "null.parquet"),
        "parquet with NaN": open_dataset(folder / "nan.parquet"),
        "csv": open_dataset(folder / "rows.csv"),
        "npy": open_dataset(folder / "rows.npy"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("how", ["drop", "marginalize"])
def test_all_inputs_have_the_same_missing_values(how, tmp_path):
    X = gappy(600)
    expected = mixture(how=how, tol=1e-8, max_iter=300).fit(X)
    for name, own in same_rows(X, tmp_path).items():
        found = mixture(how=how, tol=1e-8, max_iter=300).fit(own).align_to(expected)
        assert_allclose(found.means_, expected.means_, atol=2e-3, err_msg=name)
        assert found.n_rows_dropped_ == expected.n_rows_dropped_, name
        assert found.score(own) == pytest.approx(expected.score(X), abs=1e-5), name
        if how == "marginalize":
            labels = np.asarray(found.predict(own))
            assert np.mean(labels == expected.predict(X)) > 0.99, name


# --- any cluster, and after a kill


@each_kind
@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bits(kind):
    X = da.from_array(gappy(3000), chunks=(250, 3))
    found = []
    for workers in (1, 3):
        with in_threads(workers):
            found.append(mixture(kind).fit(X))
    assert_same_bits(*found)


@pytest.mark.slow
@each_kind
def test_any_chunks_give_the_same_up_to_rounding(kind):
    X = gappy(1200)
    found = [
        mixture(kind, **start(kind)).fit(da.from_array(X, chunks=(size, 3)))
        for size in (1200, 500, 37)
    ]
    for other in found[1:]:
        for mine, theirs in zip(parameters(found[0]), parameters(other), strict=True):
            assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.slow
@each_kind
@pytest.mark.parametrize("how", ["drop", "marginalize"])
def test_a_fit_that_was_killed_goes_on_to_the_same_bits(kind, how, tmp_path, monkeypatch):
    X = gappy(1500)
    options = {"tol": 0, "max_iter": 6, "refine": "none", "init_params": "random_from_data"}
    whole = mixture(kind, how, **options).fit(X)
    assert whole.n_iter_ > 2

    class Killed(BaseException):
        pass

    def kill(state):
        if state.iteration == 2:
            raise Killed

    path = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        mixture(kind, how, checkpoint=path, callbacks=[kill], **options).fit(X)
    surveys = []
    monkeypatch.setattr(Fit, "_begun", lambda *_: surveys.append(1))
    again = mixture(kind, how, checkpoint=path, **options).fit(X)
    assert not surveys
    assert_same_bits(again, whole)
    assert (again.n_rows_, again.n_rows_dropped_) == (whole.n_rows_, whole.n_rows_dropped_)


# --- starts


@pytest.mark.slow
def test_few_complete_rows_are_filled_to_start_from():
    X = rows(1500)[0]
    X[np.arange(1500), np.arange(1500) % 3] = np.nan  # each row lacks one
    found = mixture(refine="auto").fit(X)
    order = np.argmin(((found.means_ - MEANS[:, None]) ** 2).sum(axis=2), axis=1)
    assert_allclose(found.means_[order], MEANS, atol=0.4)


@pytest.mark.slow
def test_kmeans_over_all_rows_leaves_out_what_is_incomplete():
    pytest.importorskip("dask_ml")
    X = da.from_array(gappy(900), chunks=(300, 3))
    found = mixture(init_params="k-means||").fit(X)
    order = np.argmin(((found.means_ - MEANS[:, None]) ** 2).sum(axis=2), axis=1)
    assert_allclose(found.means_[order], MEANS, atol=0.4)


# --- what is refused


def test_missing_values_are_refused_unless_they_are_allowed():
    with pytest.raises(DataError, match="is NaN") as caught:
        mixture(how="error").fit(gappy())
    assert "missing='marginalize'" in caught.value.remedy
    with pytest.raises(ConfigurationError, match="missing='skip'"):
        mixture(how="skip").fit(gappy())


def test_a_model_that_dropped_rows_labels_no_such_row_and_says_what_would():
    X = gappy(200)
    model = GaussianMixture(2, missing="drop", random_state=0).fit(X)
    assert model.n_rows_dropped_ > 0
    with pytest.raises(DataError) as caught:
        model.predict(X)
    assert "missing='marginalize' (--missing); 'drop'" in caught.value.remedy
    assert caught.value.remedy.endswith("labels no such row.")


def test_a_fit_with_a_checkpoint_refuses_them_too(tmp_path):
    with pytest.raises(DataError, match="is NaN"):
        mixture(how="error", checkpoint=tmp_path / "checkpoint").fit(gappy())


@pytest.mark.parametrize("how", ["drop", "marginalize"])
def test_infinity_is_refused_always(how):
    X = gappy()
    X[7, 1], X[7, 2] = np.inf, np.nan
    with pytest.raises(DataError, match="row 7, feature 1 is infinity"):
        mixture(how=how).fit(X)
    model = mixture(how=how).fit(gappy())
    for call in (model.partial_fit, model.predict, model.score_samples):
        with pytest.raises(DataError, match=r"feature 1 is infinity|is NaN"):
            call(X)
    if how == "marginalize":
        with pytest.raises(DataError, match="row 7, feature 1 is infinity"):
            model.score(X)


def test_a_column_that_is_known_nowhere_is_refused():
    X = pd.DataFrame(gappy(), columns=["a", "b", "c"])
    X["b"] = np.nan
    with pytest.raises(DataError, match="All values of column 'b' are missing"):
        mixture().fit(X)
    with pytest.raises(DataError, match="1500 of 1500 rows have a missing value"):
        mixture(how="drop").fit(X)
