"""Model files, and scikit-learn's estimator there and back."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as Theirs

from daskgmm import GaussianMixture, load
from daskgmm.errors import DataError, MissingInputError, OutputError
from daskgmm.model.covariance import COVARIANCES
from tests.support.reference import THEIRS
from tests.support.rows import separated

KINDS = list(COVARIANCES)
ARRAYS = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]
PLAIN = [
    "converged_",
    "n_iter_",
    "lower_bound_",
    "lower_bounds_",
    "n_rows_",
    "n_passes_",
    "history_",
]
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("named", [False, True])
def test_a_saved_model_comes_back_to_the_bit(kind, dtype, named, tmp_path):
    rows = separated(offset=1e4).astype(dtype)
    X = pd.DataFrame(rows, columns=["länge", "b c"]) if named else rows
    model = GaussianMixture(3, covariance_type=kind, random_state=0, refine="none", tol=1e-5).fit(X)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert type(again) is GaussianMixture
    assert again.get_params() == model.get_params()
    for name in ARRAYS:
        assert getattr(again, name).dtype == dtype
        assert_array_equal(getattr(again, name), getattr(model, name))
    for name in PLAIN:
        assert getattr(again, name) == getattr(model, name)
    for method in ("predict", "predict_proba", "score_samples"):
        assert_array_equal(getattr(again, method)(X), getattr(model, method)(X))
    assert again.n_features_in_ == 2
    if named:
        assert again.feature_names_in_.tolist() == ["länge", "b c"]
        assert again.feature_names_in_.dtype == object
    else:
        assert not hasattr(again, "feature_names_in_")
    for name in ("origins", "sums", "shared"):
        assert_array_equal(getattr(again._moments, name), getattr(model._moments, name))
    assert (again._moments.rows, again._moments.log_likelihood) == (
        300,
        model._moments.log_likelihood,
    )


def test_parameters_of_all_kinds_come_back(tmp_path):
    start = Theirs(2, random_state=0).fit(separated())
    model = GaussianMixture(
        np.int64(2),
        weights_init=start.weights_,
        means_init=start.means_.tolist(),
        precisions_init=start.precisions_,
        tol=np.float32(1e-2),
        dtype=np.float32,
        random_state=np.random.RandomState(0),
        callbacks=[print],
        subsample=None,
    ).fit(separated())
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert_array_equal(again.precisions_init, start.precisions_)
    assert_allclose(again.weights_init, start.weights_)
    assert (again.n_components, again.dtype, again.subsample) == (2, "float32", None)
    assert (again.random_state, again.callbacks) == (None, ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again.fit(separated())


def test_start_values_may_be_lists_of_arrays(tmp_path):
    model = GaussianMixture(2, precisions_init=[np.eye(2), np.eye(2)], random_state=0)
    model.fit(separated()).save(tmp_path / "m")
    assert np.shape(load(tmp_path / "m").precisions_init) == (2, 2, 2)


def test_a_model_of_no_iteration_can_be_saved(tmp_path):
    model = GaussianMixture(2, max_iter=0, random_state=0).fit(separated())
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.lower_bound_ == -np.inf
    assert again.lower_bounds_ == []
    assert_array_equal(again.predict(separated()), model.predict(separated()))


def test_the_file_holds_numbers_and_json_and_nothing_that_runs(tmp_path):
    GaussianMixture(2, random_state=0, refine="none").fit(separated()).save(tmp_path / "m")
    content = (tmp_path / "m").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = json.loads(header["__metadata__"]["daskgmm"])
    assert metadata["estimator"] == "GaussianMixture"
    tensors = parse(content)
    assert {"weights", "means", "covariances"} <= set(tensors)
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.float64)}
    held = sum(array.nbytes for array in tensors.values())
    assert len(content) == 8 + length + held  # and nothing else


@pytest.mark.parametrize("keep", [0, 4, 8, 200, -1, -100])
def test_a_truncated_file_is_bad_data(keep, tmp_path):
    path = tmp_path / "m"
    GaussianMixture(2, random_state=0, refine="none").fit(separated()).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="not a daskgmm model file"):
        load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 not a model",
        b"\x80\x04K\x01.",
        np.random.default_rng(0).bytes(1000),
        serialise({"a": np.zeros(3)}),
        serialise({"a": np.zeros(3)}, {"daskgmm": "no json"}),
    ],
    ids=["empty", "zip", "pickle", "noise", "another's", "no json"],
)
def test_garbage_is_bad_data(content, tmp_path):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(DataError, match="not a daskgmm model file"):
        load(tmp_path / "m")


@pytest.mark.parametrize("metadata", ["{}", "[]", '{"format": 1}', "1"])
def test_a_header_that_lacks_its_entries_is_bad_data(metadata, tmp_path):
    (tmp_path / "m").write_bytes(serialise({"a": np.zeros(3)}, {"daskgmm": metadata}))
    with pytest.raises(DataError):
        load(tmp_path / "m")


def test_a_file_of_a_later_version_says_so(tmp_path):
    metadata = json.dumps({"format": 99, "version": "7.0"})
    (tmp_path / "m").write_bytes(serialise({"a": np.zeros(3)}, {"daskgmm": metadata}))
    with pytest.raises(DataError, match=r"daskgmm 7\.0 in format 99.*Upgrade"):
        load(tmp_path / "m")


def test_where_there_is_no_file_or_no_folder_that_is_said(tmp_path):
    with pytest.raises(MissingInputError, match="nothing"):
        load(tmp_path / "nothing")
    with pytest.raises(MissingInputError):
        load(tmp_path)
    model = GaussianMixture(1).fit(separated())
    with pytest.raises(OutputError, match=r"can.t be written"):
        model.save(tmp_path / "no" / "folder" / "m")


def test_saving_replaces_whole_and_leaves_nothing_else_behind(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    GaussianMixture(2, random_state=0, refine="none").fit(separated()).save(path)
    assert [one.name for one in tmp_path.iterdir()] == ["m"]
    assert load(path).n_components == 2


def test_urls_are_paths_too():
    model = GaussianMixture(2, random_state=0, refine="none").fit(separated())
    model.save("memory://models/m")
    assert_array_equal(load("memory://models/m").means_, model.means_)


# --- scikit-learn's estimator


@pytest.mark.parametrize("kind", THEIRS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_scikit_learn_gives_a_model_that_says_the_same(kind, dtype):
    rows = separated().astype(dtype)
    frame = pd.DataFrame(rows, columns=["a", "b"])
    ours = GaussianMixture(
        3, covariance_type=kind, random_state=0, refine="none", stopping="parameters"
    ).fit(frame)
    theirs = ours.to_sklearn()
    assert type(theirs) is Theirs
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    assert_array_equal(theirs.predict(frame), ours.predict(frame))
    assert_allclose(theirs.score_samples(frame), ours.score_samples(frame), rtol=tolerance)
    assert_allclose(theirs.bic(frame), ours.bic(frame), rtol=tolerance)
    assert theirs.feature_names_in_.tolist() == ["a", "b"]
    assert (theirs.n_iter_, theirs.converged_) == (ours.n_iter_, ours.converged_)
    X, labels = theirs.sample(10)
    assert X.shape == (10, 2)
    assert labels.shape == (10,)
    theirs.fit(frame)


@pytest.mark.parametrize("kind", THEIRS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_from_scikit_learn_and_back_changes_nothing(kind, dtype):
    rows = separated(offset=100.0).astype(dtype)
    theirs = Theirs(3, covariance_type=kind, random_state=0, tol=1e-4).fit(rows)
    ours = GaussianMixture.from_sklearn(theirs)
    assert type(ours) is GaussianMixture
    tolerance = 1e-9 if dtype == np.float64 else 2e-4
    assert_array_equal(ours.predict(rows), theirs.predict(rows))
    # At offset 100 scikit-learn's own diag and spherical densities have 3 digits in float32.
    of_theirs = tolerance if dtype == np.float64 else 5e-3
    assert_allclose(ours.score_samples(rows), theirs.score_samples(rows), rtol=of_theirs)
    assert ours.get_params().items() >= theirs.get_params().items()
    back = ours.to_sklearn()
    assert back.get_params() == theirs.get_params()
    for name in ARRAYS:
        found, expected = getattr(back, name), getattr(theirs, name)
        assert found.dtype == expected.dtype
        atol = tolerance * np.abs(expected).max()
        assert_allclose(found, expected, rtol=tolerance, atol=atol)
    assert back.lower_bounds_ == theirs.lower_bounds_


def test_from_scikit_learn_goes_on_saves_and_refuses_what_is_not_fitted(tmp_path):
    rows = separated()
    theirs = Theirs(3, random_state=0, warm_start=True).fit(rows)
    ours = GaussianMixture.from_sklearn(theirs)
    ours.save(tmp_path / "m")
    assert_array_equal(load(tmp_path / "m").means_, ours.means_)
    assert_allclose(ours.fit(rows).means_, theirs.fit(rows).means_, rtol=1e-9)
    with pytest.raises(NotFittedError):
        GaussianMixture.from_sklearn(Theirs())


def test_ways_to_start_that_scikit_learn_lacks_become_its_default():
    ours = GaussianMixture(3, init_params="hierarchical", random_state=0).fit(separated())
    assert ours.to_sklearn().init_params == "kmeans"
