import json

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


def test_the_run_itself_is_not_written_over(run, here):
    assert here("adapt", run, IRIS, "-o", run).code == 73
    assert json.loads((run / "run.json").read_text())["state"] == "complete"
