"""Components joined from the command line, and what other commands make of the result."""

import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, MergedMixture, load
from tests.support.command import here
from tests.support.rows import overlapping

__all__ = ["here"]

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("merge")
    rows = pd.DataFrame(overlapping(600, 3), columns=NAMES)
    GaussianMixture(4, random_state=0).fit(rows).save(folder / "model.safetensors")
    rows.to_parquet(folder / "rows.parquet", row_group_size=150, index=False)
    return folder


@pytest.fixture(scope="module")
def mixture(folder):
    return load(folder / "model.safetensors")


@pytest.mark.slow
def test_with_rows_entropy_decides_and_without_overlap(folder, tmp_path, here, mixture):
    model, rows = folder / "model.safetensors", folder / "rows.parquet"
    by_rows = here("merge", model, rows, "--clusters", 2, "-o", tmp_path / "entropy", "--json")
    assert by_rows.code == 0, by_rows.err
    report, found = json.loads(by_rows.out), load(tmp_path / "entropy")
    expected = mixture.merge(2, X=pd.read_parquet(rows))
    assert isinstance(found, MergedMixture)
    assert_array_equal(found.clusters_, expected.clusters_)
    assert_allclose(found.path_["entropy"], expected.path_["entropy"], rtol=1e-12)
    assert report["clusters"] == expected.clusters_.tolist()
    assert [step["n_clusters"] for step in report["path"]] == [4, 3, 2, 1]
    done = here("merge", model, "-o", tmp_path / "overlap")
    assert done.code == 0, done.err
    assert "distance (nats)" in done.out
    assert_array_equal(
        load(tmp_path / "overlap").clusters_, mixture.merge(None, "overlap").clusters_
    )
    again = here("merge", model, "-o", tmp_path / "overlap")
    assert "already complete" in again.err
    assert here("merge", model, "--clusters", 3, "-o", tmp_path / "overlap").code == 73


@pytest.mark.slow
def test_other_commands_know_clusters(folder, tmp_path, here):
    model, rows, run = folder / "model.safetensors", folder / "rows.parquet", tmp_path / "run"
    assert here("merge", model, "--clusters", 2, "-o", run).code == 0
    merged, frame = load(run), pd.read_parquet(rows)
    assert here("predict", run, rows, "-o", tmp_path / "labels").code == 0
    labels = pd.read_parquet(tmp_path / "labels")["label"]
    assert_array_equal(labels, merged.predict(frame))
    shown = here("show", run)
    assert shown.code == 0, shown.err
    assert "clusters" in shown.out
    assert json.loads(here("show", run, "--json").out)["clusters"] == merged.clusters_.tolist()
    drawn = here("sample", run, "-n", 500, "--with-labels", "-o", tmp_path / "drawn", "--seed", 0)
    assert drawn.code == 0, drawn.err
    assert set(np.unique(pd.read_parquet(tmp_path / "drawn")["label"])) == {0, 1}
    assert here("score", run, rows).code == 0
    figure = tmp_path / "figure.png"
    assert here("plot", run, rows, "-o", figure).code == 0
    assert figure.stat().st_size > 10_000
    refused = here("update", run, rows, "-o", tmp_path / "updated")
    assert (refused.code, "joined into clusters" in refused.err) == (2, True)
    assert here("export", run, "-o", tmp_path / "model.onnx").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--clusters", 9), 2, "n_clusters=9 for 4 components"),
        (("--clusters", 0), 2, "0"),
        (("--columns", "a"), 2, "give INPUT"),
    ],
)
def test_requests_that_make_no_sense_are_refused(folder, tmp_path, here, options, code, message):
    done = here("merge", folder / "model.safetensors", *options, "-o", tmp_path / "run")
    assert done.code == code
    assert message in done.err
