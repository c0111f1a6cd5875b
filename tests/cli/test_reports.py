"""score, show and plot."""

import json

import numpy as np
import pandas as pd
import pytest

from daskgmm import GaussianMixture, load, open_dataset
from tests.support.command import here, in_process, made
from tests.support.paths import IRIS

__all__ = ["here"]

COLUMNS = ["sepal_length", "sepal_width"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    fit = ("fit", IRIS, "--columns", ",".join(COLUMNS), "-k", 3, "-o", path, "--seed", 0)
    assert made(*fit).code == 0
    return path


@pytest.fixture(scope="module")
def model(run):
    return load(run / "model.safetensors")


@pytest.mark.slow
def test_scores_are_the_estimators(run, model, here):
    done = here("score", run, IRIS, "--json")
    rows = open_dataset(IRIS, columns=COLUMNS)
    assert json.loads(done.out) == {
        "rows": 150,
        "mean_log_likelihood": model.score(rows),
        "aic": model.aic(rows),
        "bic": model.bic(rows),
        "icl": model.icl(rows),
    }
    assert done.err == "Scoring rows of 2 columns in this process.\n"


def test_scores_as_text(run, model, here):
    done = here("score", run, IRIS)
    assert done.code == 0
    assert [line.split("  ")[0] for line in done.out.splitlines()] == [
        "rows",
        "mean log-likelihood",
        "AIC",
        "BIC",
        "ICL",
    ]
    assert f"{model.bic(open_dataset(IRIS, columns=COLUMNS)):.2f}" in done.out


def test_a_score_below_the_least_wanted_is_printed_and_then_a_failure(run, model, here):
    found = model.score(open_dataset(IRIS, columns=COLUMNS))
    done = here("score", run, IRIS, "--json", "--fail-below", found + 0.01)
    assert done.code == 3
    assert json.loads(done.out)["mean_log_likelihood"] == found
    assert json.loads(done.out)["fail_below"] == found + 0.01
    cause, remedy = done.err.splitlines()[-2:]
    assert cause == (
        f"error: The mean log-likelihood is {found:.6g} nats a row, below {found + 0.01:g}."
    )
    assert "--fail-below" in remedy
    assert here("score", run, IRIS, "--fail-below", found).code == 0
    for least, outcome in ((-100, "passed"), (100, "not passed")):
        told = here("score", run, IRIS, "--fail-below", least).out.splitlines()[-1]
        assert told == f"threshold            {least} nats a row, {outcome}"
    assert here("score", run, IRIS, "--fail-below", "-inf").code == 0


def test_a_run_is_shown_with_its_parameters_and_its_record(run, model, here):
    found = json.loads(here("show", run, "--json").out)
    assert found["columns"] == COLUMNS
    assert found["weights"] == model.weights_.tolist()
    assert found["means"] == model.means_.tolist()
    assert found["covariances"] == model.covariances_.tolist()
    assert found["fit"]["converged"] is True
    assert found["run"] == json.loads((run / "run.json").read_text())


def test_a_run_is_shown_as_text(run, model, here):
    done = here("show", run)
    assert (done.code, done.err) == (0, "")
    assert "mean sepal_length" in done.out
    assert f"{model.lower_bound_:.6f} nats a row" in done.out
    assert "covariances, full, 3 × 2 × 2" in done.out
    assert str(IRIS) in done.out


@pytest.mark.slow
def test_a_model_file_from_python_is_shown_without_a_run(tmp_path, here):
    rows = [[float(i % 7), float(i % 5)] for i in range(35)]
    GaussianMixture(2, covariance_type="tied", random_state=0).fit(rows).save(tmp_path / "model")
    found = json.loads(here("show", tmp_path / "model", "--json").out)
    assert (found["run"], found["columns"], found["covariance_type"]) == (None, None, "tied")
    text = here("show", tmp_path / "model").out
    assert "mean feature 0" in text
    assert "run id" not in text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Every mixture that was found has")
def test_models_of_many_columns_and_components_are_shown_in_part(tmp_path, here):
    rows = np.random.default_rng(0).normal(size=(200, 9))
    model = GaussianMixture(32, covariance_type="diag", random_state=0, tol=10).fit(rows)
    model.save(tmp_path / "model")
    text = here("show", tmp_path / "model").out
    assert "… and 2 more components" in text
    assert "… and 3 more columns" in text


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [(), (IRIS,)], ids=["model", "rows"])
@pytest.mark.parametrize("columns", [(), ("--columns", "sepal_width")], ids=["two", "one"])
def test_a_figure_is_drawn(run, tmp_path, here, inputs, columns):
    figure = tmp_path / "figure.png"
    done = here("plot", run, *inputs, "-o", figure, *columns)
    assert (done.code, done.out) == (0, f"{figure}\n")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_a_figure_of_an_unknown_column_or_kind_is_refused(run, tmp_path, here):
    assert here("plot", run, "-o", tmp_path / "figure.png", "--columns", "nope").code == 2
    assert here("plot", run, "-o", tmp_path / "figure.doc").code == 2
    assert here("plot", run, "-o", tmp_path / "none" / "figure.png").code == 73


@pytest.mark.parametrize(
    "option", [("plot", "-o", "s3://bucket/a.png"), ("score", "--performance-report", "s3://b/a")]
)
def test_what_is_written_on_this_machine_only_is_not_taken_for_a_folder_of_that_name(
    run, here, option
):
    command, *rest = option
    done = here(command, run, IRIS, *rest)
    assert (done.code, done.out) == (2, "")
    cause, remedy = done.err.splitlines()[-2:]
    assert "s3://" in cause
    assert "URL" in cause
    assert "path" in remedy


@pytest.mark.slow
def test_characters_that_a_font_lacks_are_told_in_a_line(tmp_path, here):
    rows = np.random.default_rng(0).normal(size=(50, 2))
    frame = pd.DataFrame(rows, columns=["高さ", "weight"])
    GaussianMixture(2, random_state=0).fit(frame).save(tmp_path / "model")
    done = in_process("plot", tmp_path / "model", "-o", tmp_path / "a.png")
    assert done.code == 0
    told = done.err.splitlines()
    assert told
    assert all(line.startswith("warning: Glyph ") for line in told)
