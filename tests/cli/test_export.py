"""``daskgmm export``: a model as SQL or ONNX, all of the file or nothing."""

import duckdb
import numpy as np
import onnx
import pandas as pd
import pytest

from daskgmm import GaussianMixture, load
from tests.support.command import here

__all__ = ["here"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(size=(200, 2)), 6 + rng.normal(size=(200, 2))])
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    frame = pd.DataFrame(rows, columns=["a", "b c"])
    GaussianMixture(2, random_state=0).fit(frame).save(path)
    return path, frame


@pytest.mark.slow
def test_a_select_is_written_and_a_database_runs_it(model, tmp_path, here):
    path, frame = model
    target = tmp_path / "model.sql"
    done = here("export", path, "-o", target, "--table", "frame")
    assert (done.code, done.out) == (0, f"{target}\n")
    query = target.read_text()
    assert query.startswith("-- Mixture of 2 Gaussians over 2 columns, from daskgmm: model ")
    with duckdb.connect() as database:
        database.register("frame", frame)
        labels = database.execute(query).df()["label"]
    assert labels.value_counts().tolist() == [200, 200]
    assert labels.tolist() == load(path).predict(frame).tolist()


def test_an_onnx_model_says_where_it_comes_from(model, tmp_path, here):
    target = tmp_path / "model.onnx"
    assert here("export", model[0], "-o", target).code == 0
    assert "from daskgmm: model " in onnx.load(target).doc_string


@pytest.mark.slow
def test_a_run_names_itself(model, tmp_path, here):
    rows = tmp_path / "rows.csv"
    model[1].to_csv(rows, index=False)
    run = tmp_path / "run"
    assert here("fit", rows, "-k", "2", "-o", run, "--seed", "1").code == 0
    assert here("export", run, "-o", tmp_path / "q.txt", "--to", "sql", "--table", "t").code == 0
    assert "from daskgmm: run " in (tmp_path / "q.txt").read_text()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["-o", "q.sql"], 2, "SQL needs a table: --table TABLE."),
        (["-o", "q.onnx", "--table", "t"], 2, "are for SQL"),
        (["-o", "q.txt"], 2, "does not say what to write"),
        (["-o", "q.sql", "--table", "a, b"], 2, "not the name of a table"),
        (["-o", "q.sql", "--table", "t", "--columns", "a"], 2, "1 columns are named"),
        (["-o", "missing/q.sql", "--table", "t"], 73, "missing"),
    ],
)
def test_what_cannot_be_written_is_refused_and_no_file_is_left(
    options,
    code,
    words,
    model,
    tmp_path,
    here,
    monkeypatch,
):
    monkeypatch.chdir(tmp_path)
    done = here("export", model[0], *options)
    assert words in done.err
    assert done.code == code
    assert not list(tmp_path.iterdir())
