"""Rows with missing values on the command line."""

import json

import numpy as np
import pandas as pd
import pytest

from daskgmm import GaussianMixture
from tests.support.command import here
from tests.support.rows import overlapping

__all__ = ["here"]

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("missing")
    rows = pd.DataFrame(overlapping(600, 3), columns=NAMES)
    found = rows.mask(np.random.default_rng(0).random(rows.shape) < 0.1)
    found.to_parquet(folder / "gaps.parquet", row_group_size=130, index=False)
    found.to_csv(folder / "gaps.csv", index=False)
    return folder


def fit(here, folder, output, *options, name="gaps.parquet", command="fit", k="3", refine="none"):
    own = ("-k", k, "--seed", "0", "--refine", refine)
    return here(command, folder / name, *own, "-o", output, *options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaps.parquet", "gaps.csv"])
def test_what_is_known_is_fitted_and_predicted(gaps, tmp_path, here, name):
    done = fit(here, gaps, tmp_path / "run", "--missing", "marginalize", name=name, refine="auto")
    assert done.code == 0, done.err
    assert "rows dropped" not in done.out
    rows = pd.read_parquet(gaps / "gaps.parquet")
    own = GaussianMixture(3, random_state=0, missing="marginalize").fit(rows)
    model = json.loads(here("show", tmp_path / "run", "--json").out)
    assert model["run"]["configuration"]["missing"] == "marginalize"
    done = here("score", tmp_path / "run", gaps / name, "--json")
    assert json.loads(done.out)["mean_log_likelihood"] == pytest.approx(own.score(rows), abs=1e-3)
    kinds = "labels,probabilities,log-density,anomaly"
    done = here("predict", tmp_path / "run", gaps / name, "-o", tmp_path / "out", "--with", kinds)
    assert done.code == 0, done.err
    found = pd.read_parquet(tmp_path / "out")
    assert len(found) == len(rows)
    assert np.isfinite(found["log_density"]).all()


def test_rows_that_are_dropped_are_reported(gaps, tmp_path, here):
    done = fit(here, gaps, tmp_path / "run", "--missing", "drop")
    assert done.code == 0, done.err
    rows = pd.read_parquet(gaps / "gaps.parquet")
    dropped = int(rows.isna().any(axis=1).sum())
    assert f"{dropped} with missing values" in done.out
    assert f"{dropped} of 600 rows have missing values and are left out" in done.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["result"]["rows"] == 600 - dropped
    assert record["result"]["rows_dropped"] == dropped
    again = fit(here, gaps, tmp_path / "run", "--missing", "drop")
    assert "already complete" in again.err
    assert here("predict", tmp_path / "run", gaps / "gaps.csv", "-o", tmp_path / "o").code == 65


@pytest.mark.parametrize("how", ["drop", "marginalize"])
@pytest.mark.parametrize("command", ["fit", "select"])
def test_more_than_the_allowed_share_of_missing_values_is_bad_data(
    gaps, tmp_path, here, how, command
):
    options = ("--missing", how, "--max-missing")
    k = "3" if command == "fit" else "1,3"
    done = fit(here, gaps, tmp_path / "run", *options, "0.1", command=command, k=k)
    assert done.code == 65
    assert "more than the allowed share of 0.1" in done.err
    if command == "fit":
        done = fit(here, gaps, tmp_path / "run", *options, "0.5", k=k)
        assert done.code == 0, done.err


def test_without_the_option_a_missing_value_is_bad_data(gaps, tmp_path, here):
    done = fit(here, gaps, tmp_path / "run")
    assert done.code == 65
    assert "is NaN" in done.err
    assert "missing='marginalize'" in done.err


@pytest.mark.parametrize("first", ["error", "marginalize"])
def test_an_update_follows_the_model_unless_it_says_otherwise(gaps, tmp_path, here, first):
    rows = pd.read_parquet(gaps / "gaps.parquet")
    rows.dropna().to_parquet(tmp_path / "complete.parquet", index=False)
    done = fit(here, tmp_path, tmp_path / "run", "--missing", first, name="complete.parquet")
    assert done.code == 0, done.err
    update = ("update", tmp_path / "run", gaps / "gaps.parquet", "-o", tmp_path / "new")
    assert here(*update, "--max-missing", "0.1", "--missing", "drop").code == 65
    assert here(*update).code == (65 if first == "error" else 0)
    dropped = int(rows.isna().any(axis=1).sum())
    done = here(*update, "--missing", "drop", "--force", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)["result"]
    assert (result["rows"], result["rows_dropped"]) == (600 - dropped, dropped)


@pytest.mark.slow
def test_missing_values_noise_and_a_prior_go_from_a_fit_to_its_update(gaps, tmp_path, here):
    rows, options = gaps / "gaps.parquet", ("--missing", "marginalize", "--noise", "--prior",
                                            "default")  # fmt: skip
    done = fit(here, gaps, tmp_path / "run", *options, "--tol", "1e-6")
    assert done.code == 0, done.err
    shown = json.loads(here("show", tmp_path / "run", "--json").out)
    assert shown["noise"]["weight"] > 0
    done = here("impute", tmp_path / "run", rows, "-o", tmp_path / "filled")
    assert done.code == 0, done.err
    assert pd.read_parquet(tmp_path / "filled").notna().all(axis=None)
    done = here("update", tmp_path / "run", rows, "-o", tmp_path / "next", "--forgetting", "0")
    assert done.code == 0, done.err
    drift = json.loads((tmp_path / "next" / "run.json").read_text())["drift"]
    assert abs(drift["difference"]) < 1e-4
    assert max(one["shift"] for one in drift["components"]) < 0.01
    done = fit(here, gaps, tmp_path / "selection", *options, command="select", k="2..3")
    assert done.code == 0, done.err
