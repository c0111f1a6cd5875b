import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from daskgmm import GaussianMixture, open_dataset
from tests.support.command import here, in_process
from tests.support.rows import K, prepare

__all__ = ["here"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("sample"))


@pytest.mark.slow
def test_rows_are_drawn_from_the_model(rows, tmp_path):
    out = tmp_path / "out"
    done = in_process("sample", rows.saved, "-n", 20_000, "-o", out, "--with-labels", "--seed", 3)
    assert done.code == 0
    assert f"20,000 rows in 1 file: {out}" in done.out
    found = pd.read_parquet(out)
    assert list(found.columns) == ["a", "b", "label"]
    shares = found["label"].value_counts(normalize=True, sort=False).sort_index()
    np.testing.assert_allclose(shares, rows.model.weights_, atol=0.02)
    for k in range(K):
        own = found.loc[found["label"] == k, ["a", "b"]]
        np.testing.assert_allclose(own.mean(), rows.model.means_[k], atol=0.1)
        np.testing.assert_allclose(own.cov(), rows.model.covariances_[k], atol=0.15)


@pytest.mark.slow
def test_the_same_seed_draws_the_same_rows_on_threads_and_on_a_cluster(rows, tmp_path, here):
    command = ("sample", rows.saved, "-n", 500_000, "--seed", 5)
    here(*command, "-o", tmp_path / "threads")
    done = in_process(*command, "-o", tmp_path / "cluster", "--workers", 2)
    assert done.code == 0
    here(*command[:-1], 6, "-o", tmp_path / "other")
    threads, cluster, other = (
        pq.read_table(tmp_path / name) for name in ("threads", "cluster", "other")
    )
    assert threads.equals(cluster)
    assert not threads.equals(other)


def test_many_rows_are_drawn_part_by_part(rows, tmp_path, here, monkeypatch):
    monkeypatch.setattr("daskgmm.passes.mixture_sampling._VALUES_A_CHUNK", 2 * 1000)
    assert here("sample", rows.saved, "-n", 4500, "-o", tmp_path / "out", "--seed", 1).code == 0
    parts = sorted((tmp_path / "out").glob("part-*"))
    assert [pq.read_metadata(path).num_rows for path in parts] == [1000, 1000, 1000, 1000, 500]
    assert len(pd.read_parquet(tmp_path / "out").drop_duplicates()) == 4500


def test_without_a_seed_the_same_command_finds_what_it_drew(rows, tmp_path, here):
    command = ("sample", rows.saved, "-n", 10, "-o", tmp_path / "out")
    assert here(*command).code == 0
    before = pq.read_table(tmp_path / "out")
    again = here(*command)
    assert again.code == 0
    assert "already complete" in again.err
    assert pq.read_table(tmp_path / "out").equals(before)
    assert here(*command, "--seed", 1).code == 73
    metadata = pq.read_metadata(tmp_path / "out" / "part-00000.parquet").metadata
    assert json.loads(metadata[b"daskgmm"])["asked"]["seed"] >= 0


@pytest.mark.slow
def test_what_was_drawn_can_be_fitted(rows, tmp_path, here):
    assert here("sample", rows.saved, "-n", 9000, "-o", tmp_path / "out", "--seed", 2).code == 0
    again = GaussianMixture(K, random_state=0).fit(open_dataset(tmp_path / "out"))
    np.testing.assert_allclose(
        np.sort(again.means_[:, 0]), np.sort(rows.model.means_[:, 0]), atol=0.1
    )


def test_a_model_without_names_draws_numbered_columns(rows, tmp_path, here):
    nameless = GaussianMixture(2, random_state=0).fit(rows.frame[["a", "b"]].to_numpy())
    nameless.save(tmp_path / "model")
    assert here("sample", tmp_path / "model", "-n", 3, "-o", tmp_path / "out").code == 0
    assert list(pd.read_parquet(tmp_path / "out").columns) == ["x0", "x1"]


@pytest.mark.parametrize(
    ("arguments", "code", "cause"),
    [
        (["-n", "0", "-o", "out"], 2, "0 is not a whole number from 1 up"),
        (["-n", "5", "-o", "nowhere/out"], 73, "nowhere does not exist"),
        (["-n", "5", "-o", "model.safetensors"], 73, "files that daskgmm did not write"),
    ],
)
def test_rows_that_cannot_be_drawn(rows, here, monkeypatch, arguments, code, cause):
    monkeypatch.chdir(rows.folder)
    before = sorted(rows.folder.iterdir())
    done = here("sample", rows.saved, *arguments)
    assert (done.code, done.out) == (code, "")
    assert cause in done.err
    assert sorted(rows.folder.iterdir()) == before
