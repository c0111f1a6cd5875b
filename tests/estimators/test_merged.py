"""Mixtures whose components are joined into clusters: made, applied, saved and refused."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, MergedMixture, load, open_dataset
from daskgmm.errors import ConfigurationError, DataError
from daskgmm.fitting import merging as fitting
from daskgmm.fitting.stored import model_file
from daskgmm.fitting.stored.tensors import TensorFile
from daskgmm.model.questions.merging import by_entropy
from tests.support.command import in_process

NAMES = ["a", "b"]


def some_rows(n=1200, seed=0):
    """Two bent clusters, for which a mixture takes several components each."""
    random = np.random.default_rng(seed)
    angles = random.uniform(0, np.pi, n)
    arcs = np.column_stack([np.cos(angles), np.sin(angles)]) * 4
    arcs[n // 2 :] = arcs[n // 2 :] * [1, -1] + [0, -6]
    return pd.DataFrame(arcs + random.normal(scale=0.3, size=(n, 2)), columns=NAMES)


@pytest.fixture(scope="module")
def rows():
    return some_rows()


@pytest.fixture(scope="module")
def model(rows):
    return GaussianMixture(7, random_state=0, refine="none").fit(rows)


@pytest.fixture(scope="module")
def merged(model, rows):
    return model.merge(X=rows)


@pytest.mark.parametrize("criterion", ["entropy", "overlap"])
def test_bent_clusters_are_found_from_their_components(model, rows, criterion):
    found = model.merge(2, criterion, X=rows if criterion == "entropy" else None)
    assert isinstance(found, MergedMixture)
    assert found.clusters_.shape == (7,)
    labels = found.predict(rows)
    truth = np.arange(len(rows)) >= len(rows) // 2
    assert max((labels == truth).mean(), (labels != truth).mean()) > 0.995
    assert list(found.path_["n_clusters"]) == [7, 6, 5, 4, 3, 2, 1]


def test_the_path_is_that_of_all_rows(model, rows, merged):
    path = by_entropy(model.predict_proba(rows))
    assert_allclose(merged.path_["entropy"], path.values, rtol=1e-9, atol=1e-12)
    assert merged.path_["joined"].tolist() == [(), *path.joined]
    assert merged.n_clusters_ == path.n_clusters


def test_probabilities_are_sums_over_components_and_labels_their_largest(model, rows, merged):
    found, shares = merged.predict_proba(rows), model.predict_proba(rows)
    for c in range(merged.n_clusters_):
        assert_allclose(found[:, c], shares[:, merged.clusters_ == c].sum(axis=1), atol=1e-15)
    assert_array_equal(merged.predict(rows), found.argmax(axis=1))
    assert_array_equal(merged.score_samples(rows), model.score_samples(rows))


def test_as_many_clusters_as_components_are_the_components(model, rows):
    found = model.merge(7, X=rows)
    assert_array_equal(found.clusters_, range(7))
    assert_array_equal(found.predict(rows), model.predict(rows))
    assert (model.merge(1, "overlap").predict(rows) == 0).all()


def test_results_do_not_depend_on_the_kind_or_chunks_of_rows(model, rows, merged, tmp_path):
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=170)
    lazy = dd.from_pandas(rows, npartitions=5)
    kinds = (open_dataset(tmp_path / "rows.parquet"), lazy)
    for X in kinds:
        assert_array_equal(model.merge(X=X).path_["entropy"], merged.path_["entropy"])
    assert_array_equal(merged.predict(lazy).compute(), merged.predict(rows))
    array = da.from_array(rows.to_numpy(), chunks=(321, 2))
    with pytest.warns(UserWarning, match="valid feature names"):
        expected = merged.predict_proba(rows.to_numpy())
    assert merged.predict_proba(array).chunks == ((321, 321, 321, 237), (merged.n_clusters_,))
    assert_allclose(merged.predict_proba(array).compute(), expected, atol=1e-14)


def test_of_many_rows_some_are_drawn(model, rows, monkeypatch):
    monkeypatch.setattr(fitting, "MOST_ROWS", 1000)
    found, again = model.merge(2, X=rows), model.merge(2, X=rows)
    assert_array_equal(found.path_["entropy"], again.path_["entropy"])
    assert_array_equal(found.clusters_, model.merge(2, "overlap").clusters_)
    lengths = da.from_array(rows.to_numpy(), chunks=(100, 2))
    assert_array_equal(model.merge(2, X=lengths).path_["entropy"], found.path_["entropy"])


def test_sample_weights_count(model, rows, tmp_path):
    weighted = rows.assign(w=np.arange(len(rows)) % 3)
    weighted.to_parquet(tmp_path / "rows.parquet")
    data = open_dataset(tmp_path / "rows.parquet", columns=NAMES, sample_weight="w")
    repeated = rows.loc[np.repeat(rows.index, weighted["w"])]
    found, expected = (model.merge(2, X=X).path_["entropy"] for X in (data, repeated))
    assert_allclose(found, expected, rtol=1e-9, atol=1e-13)


def test_a_saved_merged_mixture_comes_back(merged, rows, tmp_path):
    merged.save(tmp_path / "model.safetensors")
    found = load(tmp_path / "model.safetensors")
    assert isinstance(found, MergedMixture)
    assert repr(found) == repr(merged)
    assert found.criterion_ == "entropy"
    assert_array_equal(found.clusters_, merged.clusters_)
    pd.testing.assert_frame_equal(found.path_, merged.path_)
    assert_array_equal(found.predict_proba(rows), merged.predict_proba(rows))
    assert_array_equal(found.mixture_.predict(rows), merged.mixture_.predict(rows))
    overlap = merged.mixture_.merge(3, "overlap")
    overlap.save(tmp_path / "overlap.safetensors")
    pd.testing.assert_frame_equal(load(tmp_path / "overlap.safetensors").path_, overlap.path_)


def test_the_command_line_labels_rows_by_cluster(merged, rows, tmp_path):
    merged.save(tmp_path / "model.safetensors")
    merged.mixture_.save(tmp_path / "mixture.safetensors")
    rows.to_parquet(tmp_path / "rows.parquet")
    command = ("predict", tmp_path / "model.safetensors", tmp_path / "rows.parquet", "-o")
    done = in_process(*command, tmp_path / "out", "--with", "labels,probabilities")
    assert done.code == 0, done.err
    found = pd.read_parquet(tmp_path / "out")
    assert_array_equal(found["label"], merged.predict(rows))
    assert list(found.columns[1:]) == [f"probability_{c}" for c in range(merged.n_clusters_)]
    assert_allclose(found.iloc[:, 1:], merged.predict_proba(rows), atol=1e-14)
    other = ("predict", tmp_path / "mixture.safetensors", *command[2:], tmp_path / "out")
    assert in_process(*other, "--with", "labels,probabilities").code == 73


def test_a_merged_mixture_stands_for_its_components_where_mixtures_are_compared(model, merged):
    assert_array_equal(model.match(merged), range(7))
    assert_allclose(np.diagonal(model.divergence(merged)), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"criterion": "size"}, "criterion='size'"),
        ({"criterion": "entropy"}, "X is missing"),
        ({"criterion": "overlap", "X": [[1.0, 2.0]]}, "X was given"),
        ({"criterion": "overlap", "n_clusters": 0}, "n_clusters=0 for 7 components"),
        ({"criterion": "overlap", "n_clusters": 8}, "n_clusters=8"),
        ({"criterion": "overlap", "n_clusters": 2.5}, "n_clusters=2.5"),
    ],
)
def test_requests_that_make_no_sense_are_refused(model, given, message):
    with pytest.raises(ConfigurationError, match=message):
        model.merge(**given)
    with pytest.raises(ConfigurationError, match="not fitted yet"):
        GaussianMixture().merge(**given)


def test_rows_with_a_value_missing_are_named(model, rows):
    bad = rows.copy()
    bad.loc[700, "b"] = np.nan
    with pytest.raises(DataError, match="column 'b' is NaN"):
        model.merge(X=bad)
    with pytest.raises(DataError, match="no rows"):
        model.merge(X=da.zeros((0, 2), chunks=(1, 2)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"clusters": np.zeros(3, np.int64)}, r"clusters have the shape \(3,\)"),
        ({"clusters": np.array([0, 2, 2, 2, 2, 2, 2])}, "not numbered from 0"),
        ({"clusters": np.array([0, 1, 1, 1, 1, 1, 1])}, "not those of its joins"),
        ({"merging.pairs": np.array([[0, 1]] * 6)}, "missing"),
    ],
)
def test_damaged_clusters_are_refused(model, tmp_path, damage, message):
    merged = model.merge(2, "overlap")
    if np.array_equal(damage.get("clusters"), merged.clusters_):
        damage = {"clusters": np.array([0, 0, 0, 0, 0, 0, 1])}
    content = model_file.to_bytes(merged.mixture_, merged.merging)
    file = TensorFile.from_bytes(content)
    metadata = {key: value for key, value in file.metadata.items() if key != model_file.DIGEST}
    other = TensorFile({**file.tensors, **damage}, metadata).to_bytes(model_file.FORMAT)
    (tmp_path / "model.safetensors").write_bytes(other)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "model.safetensors")
