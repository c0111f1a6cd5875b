import json

import numpy as np
import pandas as pd
import pytest

from daskgmm import load, open_dataset
from tests.support.command import here
from tests.support.paths import IRIS

__all__ = ["here"]

COLUMNS = ("--columns", "sepal_length,sepal_width")


@pytest.fixture
def run(tmp_path, here):
    """A complete run."""
    path = tmp_path / "run"
    assert here("fit", IRIS, *COLUMNS, "-k", 3, "-o", path, "--seed", 0).code == 0
    return path


@pytest.mark.slow
def test_a_model_is_adapted_once_and_shown(run, tmp_path, here):
    path = tmp_path / "adapted"
    done = here("adapt", run, IRIS, "--relevance", 4, "-o", path)
    assert done.code == 0
    assert "150" in done.out
    rows = open_dataset(IRIS, columns=["sepal_length", "sepal_width"])
    expected = load(run).adapt(rows, 4.0)
    assert (load(path).means_ == expected.means_).all()
    assert "adapted from run" in here("show", path).out
    again = here("adapt", run, IRIS, "--relevance", 4, "-o", path)
    assert again.code == 0
    assert "already complete" in again.err
    assert here("adapt", run, IRIS, "--relevance", 5, "-o", path).code != 0


@pytest.mark.slow
def test_weights_of_rows_count_in_a_score(run, tmp_path, here):
    frame = pd.read_csv(IRIS)[["sepal_length", "sepal_width"]]
    rows, thrice = tmp_path / "rows.parquet", tmp_path / "thrice.parquet"
    frame.assign(w=np.where(frame.index < 50, 3.0, 1.0)).to_parquet(rows)
    pd.concat([frame, frame[:50], frame[:50]]).to_parquet(thrice)
    weighted = json.loads(here("score", run, rows, "--weight-column", "w", "--json").out)
    repeated = json.loads(here("score", run, thrice, "--json").out)
    name = "mean_log_likelihood"
    assert weighted[name] == pytest.approx(repeated[name], rel=1e-12)


@pytest.mark.slow
def test_the_run_itself_is_not_written_over(run, here):
    assert here("adapt", run, IRIS, "-o", run).code == 73
    assert json.loads((run / "run.json").read_text())["state"] == "complete"
