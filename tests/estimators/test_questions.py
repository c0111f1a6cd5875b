"""Questions to a fitted mixture: of any kind of rows, by names or positions, and with bad input."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, load, open_dataset
from daskgmm.errors import ConfigurationError, DataError, InputTypeError
from tests.support.mixtures import density
from tests.support.rows import overlapping

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

NAMES = ["a", "b", "c"]
LINES = overlapping(300, 3)


def frame_of(rows):
    return pd.DataFrame(rows, columns=NAMES, index=pd.Index(range(7, 7 + len(rows)), name="id"))


def with_gaps(rows=LINES[:90]):
    rows = rows.copy()
    gaps = np.random.default_rng(0).random(rows.shape) < 0.3
    rows[gaps] = np.nan
    return rows


@pytest.fixture(scope="module")
def models():
    kinds = ("full", "tied", "diag", "spherical")
    return {
        kind: GaussianMixture(3, covariance_type=kind, random_state=0).fit(frame_of(LINES))
        for kind in kinds
    }


@pytest.fixture
def model(models, covariance_type):
    return models[covariance_type]


def in_data_units(model):
    return model._predictor.in_data_units


# --- marginal and condition


@pytest.mark.slow
@pytest.mark.parametrize("features", [["c", "a"], [2, 0], ("c", 0), np.array([2, 0])])
def test_a_marginal_has_the_columns_in_the_order_asked_for(model, features):
    found = model.marginal(features)
    assert list(found.feature_names_in_) == ["c", "a"]
    assert_array_equal(found.means_, model.means_[:, [2, 0]])
    assert_array_equal(found.weights_, model.weights_)
    assert (found.n_features_in_, found.covariance_type) == (2, model.covariance_type)
    rows = frame_of(LINES)[["c", "a"]]
    expected = np.log(density(in_data_units(found), rows.to_numpy()))
    assert_allclose(found.score_samples(rows), expected, rtol=1e-9)


@pytest.mark.slow
def test_the_joint_density_is_that_of_the_given_columns_times_the_conditional(model):
    for row in LINES[:5]:
        given, rest = {"c": row[2], 0: row[0]}, frame_of(row[np.newaxis])
        found = model.condition(given)
        assert list(found.feature_names_in_) == ["b"]
        parts = found.score_samples(rest[["b"]]) + model.marginal(["c", "a"]).score_samples(
            rest[["c", "a"]]
        )
        assert_allclose(parts, model.score_samples(rest), rtol=1e-10)


def test_models_without_names_take_positions():
    model = GaussianMixture(2, random_state=0).fit(LINES)
    assert not hasattr(model.marginal([1]), "feature_names_in_")
    assert model.condition({np.int64(1): np.float32(0.5)}).means_.shape == (2, 2)
    with pytest.raises(ConfigurationError, match="no column 'a'"):
        model.marginal(["a"])


def test_results_are_whole_estimators(model, tmp_path):
    found = model.condition({"b": 1.0})
    found.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    rows = frame_of(LINES)[["a", "c"]]
    for other in (loaded, found.condition({"a": 0.3}).marginal(["c"])):
        assert other.predict(rows[list(other.feature_names_in_)]).shape == (300,)
    assert_array_equal(loaded.score_samples(rows), found.score_samples(rows))
    assert_allclose(found.to_sklearn().score_samples(rows), found.score_samples(rows), rtol=1e-9)
    assert found.sample(5)[0].shape == (5, 2)
    assert found.condition({"a": 0.3}).means_.shape == (3, 1)


@pytest.mark.slow
def test_tight_components_far_from_zero_keep_their_digits():
    rows = LINES * 1e-6 + [1e6, 1, 1]
    model = GaussianMixture(2, random_state=0, reg_covar=0).fit(rows)
    near = GaussianMixture(2, random_state=0, reg_covar=0).fit(rows - [1e6, 1, 1])
    found, expected = (
        each.condition({0: at}) for each, at in ((model, rows[3, 0]), (near, rows[3, 0] - 1e6))
    )
    assert_allclose(found.weights_, expected.weights_, rtol=1e-4)
    assert_allclose(found.means_ - 1, expected.means_, atol=1e-10)
    assert_allclose(found.covariances_, expected.covariances_, rtol=1e-4)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda model: model.marginal([]), ConfigurationError, "features has no columns"),
        (lambda model: model.marginal("a"), InputTypeError, "features is 'a', not a sequence"),
        (lambda model: model.marginal(["a", 0]), ConfigurationError, "column 'a' twice"),
        (lambda model: model.marginal([3]), ConfigurationError, "no column 3"),
        (lambda model: model.marginal([-1]), ConfigurationError, "no column -1"),
        (lambda model: model.marginal([True]), ConfigurationError, "no column True"),
        (lambda model: model.condition({}), ConfigurationError, "given has no columns"),
        (lambda model: model.condition([1]), InputTypeError, "given is a list"),
        (lambda model: model.condition({"d": 1}), ConfigurationError, "no column 'd'"),
        (lambda model: model.condition({"a": "x"}), InputTypeError, "'a' is 'x', not a number"),
        (lambda model: model.condition({"a": np.nan}), ConfigurationError, "'a' is nan"),
        (lambda model: model.condition({"a": 1e300}), ConfigurationError, "no density"),
        (lambda model: model.condition(dict.fromkeys("abc", 0)), ConfigurationError, "All 3"),
        (lambda model: model.divergence(model, "js"), ConfigurationError, "kind='js'"),
        (lambda model: model.divergence(3), InputTypeError, "other is 3"),
    ],
)
def test_questions_that_make_no_sense_are_refused(models, ask, error, message):
    with pytest.raises(error, match=message):
        ask(models["full"])


@pytest.mark.parametrize("name", ["marginal", "condition", "divergence", "explain", "impute"])
def test_a_mixture_that_is_not_fitted_answers_nothing(name):
    with pytest.raises(ConfigurationError, match="not fitted yet"):
        getattr(GaussianMixture(), name)({0: 1.0})


# --- divergence


def test_divergences_are_between_mixtures_of_any_type_and_number(models, model, tmp_path):
    other = GaussianMixture(2, random_state=0).fit(frame_of(LINES)[["c", "b", "a"]])
    other.save(tmp_path / "other.safetensors")
    found = model.divergence(other)
    assert found.shape == (3, 2)
    assert_allclose(model.divergence(str(tmp_path / "other.safetensors")), found)
    assert_allclose(other.divergence(model).T, found, rtol=1e-9)
    both = model.divergence(other, "kl") + other.divergence(model, "kl").T
    assert_allclose(both, found, rtol=1e-9)
    assert_allclose(np.diagonal(model.divergence(model)), 0, atol=1e-12)
    distances, shares = (model.divergence(other, kind) for kind in ("bhattacharyya", "hellinger"))
    assert_allclose(shares**2, 1 - np.exp(-distances), rtol=1e-9)


# --- rows of any kind


def asked(model, name, X):
    return getattr(model, name)(X)


@pytest.mark.parametrize("name", ["explain", "impute"])
def test_results_have_the_kind_columns_and_index_of_the_rows(model, name):
    rows = with_gaps() if name == "impute" else LINES[:90]
    frame = frame_of(rows)
    expected = asked(model, name, frame.to_numpy())
    assert isinstance(expected, np.ndarray)
    found = asked(model, name, frame)
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected, frame.index, NAMES))
    polars = asked(model, name, pl.from_pandas(frame, nan_to_null=True))
    assert polars.columns == NAMES
    assert_array_equal(polars.to_numpy(), expected)
    nullable = asked(model, name, frame.astype("Float64"))
    pd.testing.assert_frame_equal(nullable, found)
    lazy = asked(model, name, dd.from_pandas(frame, npartitions=4))
    assert lazy.divisions == dd.from_pandas(frame, npartitions=4).divisions
    assert list(lazy.columns) == NAMES
    assert dict(lazy.dtypes) == dict(found.dtypes)
    pd.testing.assert_frame_equal(lazy.compute(), found)


@pytest.mark.parametrize("name", ["explain", "impute"])
def test_the_bits_are_the_same_in_any_chunks(model, name, tmp_path):
    rows = with_gaps() if name == "impute" else LINES[:90]
    expected = asked(model, name, rows)
    for chunks in ((1, 0, 33, 56), (90,), (45, 45)):
        lazy = asked(model, name, da.from_array(rows, chunks=(chunks, 3)))
        assert lazy.chunks == (chunks, (3,))
        with dask.config.set(scheduler="synchronous"):
            assert lazy.compute().tobytes() == expected.tobytes()
    frame_of(rows).to_parquet(tmp_path / "rows.parquet", row_group_size=17)
    dataset = open_dataset(tmp_path / "rows.parquet", columns=NAMES)
    assert asked(model, name, dataset).compute().tobytes() == expected.tobytes()


def test_nothing_is_computed_until_it_is_asked_for(model):
    def fail(block):
        raise AssertionError

    lazy = da.from_array(LINES, chunks=(100, 3)).map_blocks(fail, dtype=float, meta=LINES[:0])
    assert model.explain(lazy).shape == (300, 3)
    assert model.impute(lazy).shape == (300, 3)


def test_values_that_are_not_numbers_are_named(model):
    rows = LINES[:30].copy()
    rows[21, 1] = np.nan
    for X in (frame_of(rows), da.from_array(rows, chunks=(10, 3))):
        with pytest.raises(DataError, match=r"column 'b' is NaN|feature 1 is NaN"):
            dask.compute(model.explain(X))
    rows[21, 1] = -np.inf
    with pytest.raises(DataError, match="row 21, column 'b' is infinity"):
        model.impute(frame_of(rows))


def test_a_row_is_explained_by_the_column_that_is_off(model):
    row = frame_of(LINES[:1])
    usual = model.explain(row)
    odd = model.explain(row.assign(b=row["b"] + 50))
    assert (odd - usual).iloc[0].idxmax() == "b"
    assert odd["b"].iloc[0] > usual["b"].iloc[0] + 20


def test_imputed_values_are_those_of_conditional_mixtures(model):
    rows = LINES[:3].copy()
    rows[0, 1] = rows[1, 0] = rows[1, 2] = np.nan
    rows[2] = np.nan
    found = model.impute(rows)
    one = model.condition({0: rows[0, 0], 2: rows[0, 2]})
    two = model.condition({1: rows[1, 1]})
    assert_allclose(found[0, 1], one.weights_ @ one.means_[:, 0], rtol=1e-10)
    assert_allclose(found[1, [0, 2]], two.weights_ @ two.means_, rtol=1e-10)
    assert_allclose(found[2], model.weights_ @ model.means_, rtol=1e-10)
