"""The nightly refresh: a run goes on with new rows, and tells how they have drifted."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from daskgmm import GaussianMixture, jobs, load
from daskgmm.errors import BelowThresholdError, ConfigurationError, OutputError
from daskgmm.jobs.listener import Silence
from tests.support.command import here, in_process, made

__all__ = ["here"]

K = 3
NAMES = ["a", "b"]
CENTRES = np.array([[0, 0], [8, 0], [0, 8]])


def some_rows(n, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    rows = CENTRES[rng.integers(0, K, n)] + rng.normal(size=(n, 2)) + offset
    frame = pd.DataFrame(rows, columns=NAMES)
    frame["w"] = rng.integers(1, 4, n).astype(float)
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, and new rows: as many like the old ones, and some that have moved by half."""
    folder = tmp_path_factory.mktemp("update")
    some_rows(900).to_parquet(folder / "old.parquet", row_group_size=250, index=False)
    some_rows(900, 1).to_parquet(folder / "new.parquet", row_group_size=250, index=False)
    some_rows(300, 2, 0.5).to_csv(folder / "moved.csv", index=False)
    fit = ("fit", folder / "old.parquet", "--columns", "a,b", "-k", K, "--seed", 4)
    assert made(*fit, "-o", folder / "run").code == 0
    return folder


def record_of(run):
    return json.loads((run / "run.json").read_text())


def model_of(run):
    return load(run / "model.safetensors")


def tensors_of(run):
    """The bits of a model's mixture and moments."""
    model = model_of(run)
    mixture, moments = model._predictor.mixture, model._moments
    arrays = (mixture.weights, mixture.means, mixture.covariances, moments.sums, moments.origins)
    return [array.tobytes() for array in arrays]


# --- what it does


@pytest.mark.parametrize("forgetting", [1.0, 0.25, 0.0])
def test_the_new_run_has_the_model_that_partial_fit_makes(folder, tmp_path, here, forgetting):
    command = ("update", folder / "run", folder / "moved.csv", "-o", tmp_path / "run")
    assert here(*command, "--forgetting", forgetting).code == 0
    expected = model_of(folder / "run")
    rows = pd.read_csv(folder / "moved.csv")[NAMES]
    expected.partial_fit(rows, forgetting=forgetting)
    found = model_of(tmp_path / "run")
    for name in ("weights_", "means_", "covariances_"):
        assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12, atol=1e-12)
    assert found.n_rows_ == 1200
    assert found.feature_names_in_.tolist() == NAMES


def test_the_record_tells_what_it_was_updated_from(folder, tmp_path, here):
    out = tmp_path / "run"
    assert here("update", folder / "run", folder / "moved.csv", "-o", out).code == 0
    before, after = record_of(folder / "run"), record_of(out)
    model = (folder / "run" / "model.safetensors").read_bytes()
    assert after["updated_from"] == {
        "run_id": before["run_id"],
        "model_sha256": hashlib.sha256(model).hexdigest(),
    }
    assert after["state"] == "complete"
    assert after["forgetting"] == 1.0
    assert after["run_id"] != before["run_id"]
    assert after["configuration"]["updated_from"] == after["updated_from"]
    assert [file["rows"] for file in after["inputs"]["files"]] == [300]
    result = after["result"]
    assert (result["rows"], result["rows_seen"], result["weight"]) == (300, 1200, 1200)
    assert (result["n_passes"], result["rows_read"], result["bytes_read"]) == (1, 300, 4800)
    assert result["n_iter"] == before["result"]["n_iter"] + 1
    assert after["trace"][:-1] == before["trace"]
    assert sorted(path.name for path in out.iterdir()) == ["model.safetensors", "run.json"]


def test_an_updated_run_is_a_run_like_others(folder, tmp_path, here):
    out = tmp_path / "run"
    here("update", folder / "run", folder / "moved.csv", "-o", out)
    shown = here("show", out)
    assert f"updated from run  {record_of(folder / 'run')['run_id']}" in shown.out
    assert "1,200" in shown.out
    score = here("score", out, folder / "new.parquet", "--json")
    assert json.loads(score.out)["rows"] == 900
    again = here("update", out, folder / "new.parquet", "-o", tmp_path / "next")
    assert again.code == 0
    assert record_of(tmp_path / "next")["updated_from"]["run_id"] == record_of(out)["run_id"]
    assert record_of(tmp_path / "next")["result"]["rows_seen"] == 2100


def test_a_model_file_is_updated_too(folder, tmp_path, here):
    model = folder / "run" / "model.safetensors"
    done = here("update", model, folder / "moved.csv", "-o", tmp_path / "run")
    assert done.code == 0
    found = record_of(tmp_path / "run")["updated_from"]
    assert found["run_id"] is None
    assert found["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert f"updated from    {found['model_sha256']}" in done.out


def test_rows_are_weighted_by_a_column(folder, tmp_path, here):
    command = ("update", folder / "run", folder / "moved.csv", "-o", tmp_path / "run")
    assert here(*command, "--weight-column", "w").code == 0
    rows = pd.read_csv(folder / "moved.csv")
    assert record_of(tmp_path / "run")["result"]["weight"] == 900 + rows["w"].sum()
    expected = model_of(folder / "run").partial_fit(rows[NAMES], sample_weight=rows["w"])
    assert_allclose(model_of(tmp_path / "run").means_, expected.means_, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_workers_change_no_bit(folder, tmp_path, here):
    command = ("update", folder / "run", folder / "new.parquet", "--forgetting", 0.5)
    assert here(*command, "-o", tmp_path / "alone").code == 0
    done = in_process(*command, "-o", tmp_path / "two", "--workers", 2)
    assert (done.code, "cluster of 2 workers" in done.err) == (0, True)
    assert tensors_of(tmp_path / "two") == tensors_of(tmp_path / "alone")


@pytest.mark.slow
def test_runs_in_a_store_are_updated_there(folder, tmp_path, here, s3):
    s3.filesystem.put(str(folder / "run"), f"{s3.url}/run", recursive=True)
    s3.filesystem.put(str(folder / "moved.csv"), f"{s3.url}/moved.csv")
    command = ("update", f"{s3.url}/run", f"{s3.url}/moved.csv", "-o", f"{s3.url}/next")
    done = here(*command, *s3.arguments)
    assert done.code == 0, done.err
    assert here("update", folder / "run", folder / "moved.csv", "-o", tmp_path / "next").code == 0
    s3.filesystem.get(f"{s3.url}/next/", str(tmp_path / "fetched"), recursive=True)
    assert tensors_of(tmp_path / "fetched") == tensors_of(tmp_path / "next")
    again = here(*command, *s3.arguments)
    assert (again.code, "nothing was done" in again.err) == (0, True)


# --- drift


def drift_of(here, *command):
    done = here("update", *command, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_rows_like_the_old_ones_show_next_to_no_drift(folder, tmp_path, here):
    told = drift_of(here, folder / "run", folder / "new.parquet", "-o", tmp_path / "run")
    drift = told["drift"]
    assert abs(drift["difference"]) < 0.1
    for one in drift["components"]:
        assert one["weight_of_new_rows"] == pytest.approx(one["weight_before"], abs=0.05)
        assert one["shift_of_new_rows"] < 0.2
        assert one["divergence"] < 0.02


def test_drift_is_what_it_says(folder, tmp_path, here):
    """Everything is computed again from the two models and the rows, the plain way."""
    told = drift_of(here, folder / "run", folder / "moved.csv", "-o", tmp_path / "run")
    before, after = model_of(folder / "run"), model_of(tmp_path / "run")
    rows = pd.read_csv(folder / "moved.csv")[NAMES]
    drift = told["drift"]
    assert drift["mean_log_likelihood"] == pytest.approx(before.score(rows), rel=1e-12)
    assert drift["lower_bound_before"] == before.lower_bound_
    assert drift["difference"] == pytest.approx(before.score(rows) - before.lower_bound_)
    assert drift["difference"] < -0.1
    shares = before.predict_proba(rows)
    for k, one in enumerate(drift["components"]):
        old, new = before.covariances_[k], after.covariances_[k]
        own = shares[:, k] @ rows.to_numpy() / shares[:, k].sum()
        assert one["weight_before"] == pytest.approx(before.weights_[k])
        assert one["weight_of_new_rows"] == pytest.approx(shares[:, k].mean())
        assert one["weight_after"] == pytest.approx(after.weights_[k])
        for name, mean in (("shift_of_new_rows", own), ("shift", after.means_[k])):
            change = mean - before.means_[k]
            distance = np.sqrt(change @ np.linalg.solve(old, change))
            assert one[name] == pytest.approx(distance, rel=1e-6)
        change = after.means_[k] - before.means_[k]
        both = np.linalg.inv(old) + np.linalg.inv(new)
        traces = np.trace(np.linalg.solve(old, new)) + np.trace(np.linalg.solve(new, old))
        expected = (traces + change @ both @ change) / 2 - 2
        assert one["divergence"] == pytest.approx(expected, rel=1e-6)
        # Half a unit in both directions; each component has unit variances.
        assert one["shift_of_new_rows"] == pytest.approx(np.sqrt(0.5), abs=0.2)
    density = multivariate_normal(before.means_[0], before.covariances_[0])
    assert density.logpdf(before.means_[0]) > drift["mean_log_likelihood"]
    assert record_of(tmp_path / "run")["drift"] == drift


def test_a_component_without_new_rows_has_no_mean_of_them(folder, tmp_path, here):
    rows = pd.read_csv(folder / "moved.csv")
    rows[rows["b"] < 4].to_csv(tmp_path / "rest.csv", index=False)
    command = ("update", folder / "run", tmp_path / "rest.csv", "-o", tmp_path / "run")
    done = here(*command)
    components = record_of(tmp_path / "run")["drift"]["components"]
    (lone,) = [k for k, one in enumerate(components) if one["shift_of_new_rows"] is None]
    assert components[lone]["weight_of_new_rows"] < 1e-5
    assert components[lone]["shift"] < 1e-3
    assert done.out.splitlines()[1 + lone].split()[4] == "-"


def test_the_text_tells_the_same(folder, tmp_path, here):
    command = ("update", folder / "run", folder / "moved.csv", "-o", tmp_path / "run")
    done = here(*command)
    drift = record_of(tmp_path / "run")["drift"]
    titles, *lines = done.out.splitlines()
    words = "component weight of new rows after shift of new rows (sd) shift (sd) divergence (nats)"
    assert " ".join(titles.split()) == words
    for line, one in zip(lines[:K], drift["components"], strict=True):
        _, before, new, after, *moves = line.split()
        shown = [float(before), float(new), float(after), *map(float, moves)]
        assert_allclose(shown, list(one.values()), rtol=1e-3, atol=1e-4)
    assert f"difference      {drift['difference']:.6f} nats a row (new rows fit worse" in done.out
    explained = [line.partition(":")[0] for line in lines[K : K + 2]]
    assert explained == ["shift", "divergence"]
    assert "rows seen       1,200, which count 1,200" in done.out
    assert "Updating with rows of 2 columns in this process." in done.err


# --- again, and refusals


def written(folder):
    """When each file of a folder was written last; reading it may count as its access."""
    files = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (own.st_ino, own.st_mtime_ns) for name, own in files.items()}


def test_the_same_again_does_nothing_and_says_so(folder, tmp_path, here):
    command = ("update", folder / "run", folder / "moved.csv", "-o", tmp_path / "run")
    first = here(*command)
    files = written(tmp_path / "run")
    again = here(*command)
    assert (again.code, again.out) == (0, first.out)
    assert "already complete: nothing was done" in again.err
    assert written(tmp_path / "run") == files


@pytest.mark.parametrize("changed", ["forgetting", "rows", "run"])
def test_another_update_is_refused_unless_forced(folder, tmp_path, here, changed):
    out = tmp_path / "run"
    assert here("update", folder / "run", folder / "moved.csv", "-o", out).code == 0
    run, rows, more = folder / "run", folder / "moved.csv", ()
    if changed == "forgetting":
        more = ("--forgetting", 0.5)
    elif changed == "rows":
        rows = folder / "new.parquet"
    else:
        run = run / "model.safetensors"
    command = ("update", run, rows, "-o", out, *more)
    refused = here(*command)
    assert refused.code == 73
    assert f"a run that differs in {'the input' if changed == 'rows' else ''}" in refused.err
    assert here(*command, "--force").code == 0
    assert here(*command).code == 0


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_run_is_not_updated_in_place(folder, here, force):
    before = record_of(folder / "run")
    done = here("update", folder / "run", folder / "moved.csv", "-o", folder / "run", *force)
    assert done.code == 73
    assert "is the run to be updated" in done.err
    assert record_of(folder / "run") == before


def test_rows_that_the_run_has_read_are_warned_of(folder, tmp_path, here):
    command = ("update", folder / "run", folder / "old.parquet")
    done = here(*command, folder / "new.parquet", "-o", tmp_path / "run")
    assert done.code == 0
    assert "has already read 1 of 2 inputs" in done.err
    assert "their rows count twice" in done.err
    assert "warning" not in here(*command, "-o", tmp_path / "run0", "--forgetting", 0).err


def test_other_columns_are_refused_by_name(folder, tmp_path, here):
    rows = some_rows(20).rename(columns={"b": "c"})
    rows.to_csv(tmp_path / "other.csv", index=False)
    out = ("-o", tmp_path / "run")
    missing = here("update", folder / "run", tmp_path / "other.csv", *out)
    predicted = here("predict", folder / "run", tmp_path / "other.csv", "-o", tmp_path / "p")
    assert missing.code == predicted.code == 65
    assert "'b'" in missing.err
    chosen = here("update", folder / "run", tmp_path / "other.csv", "--columns", "a,c", *out)
    assert chosen.code == 2
    assert "'a', 'c'" in chosen.err
    assert "'a', 'b'" in chosen.err
    assert not (tmp_path / "run").exists()


def test_bad_rows_are_told_of_and_good_ones_finish_the_run(folder, tmp_path, here):
    rows = some_rows(40)
    flawed = rows.copy()
    flawed.loc[7, "b"] = np.nan
    path = tmp_path / "rows.parquet"
    flawed.to_parquet(path, index=False)
    command = ("update", folder / "run", path, "-o", tmp_path / "run")
    done = here(*command)
    assert done.code == 65
    assert "row 7, column 'b'" in done.err
    failed = record_of(tmp_path / "run")
    assert (failed["state"], failed["failure"]["kind"]) == ("failed", "DataError")
    rows.to_parquet(path, index=False)
    assert here(*command).code == 0
    assert record_of(tmp_path / "run")["state"] == "complete"


@pytest.mark.parametrize("forgetting", ["-0.1", "1.5", "much"])
def test_forgetting_out_of_range_is_wrong_usage(folder, tmp_path, here, forgetting):
    command = ("update", folder / "run", folder / "moved.csv", "-o", tmp_path / "run")
    done = here(*command, "--forgetting", forgetting)
    assert done.code == 2
    assert "--forgetting" in done.err


def test_a_model_without_moments_can_only_forget(folder, tmp_path, here):
    theirs = model_of(folder / "run").to_sklearn()
    GaussianMixture.from_sklearn(theirs).save(tmp_path / "model")
    command = ("update", tmp_path / "model", folder / "moved.csv", "-o", tmp_path / "run")
    done = here(*command)
    assert done.code == 2
    assert "holds no moments" in done.err
    assert here(*command, "--forgetting", 0).code == 0
    assert record_of(tmp_path / "run")["result"]["rows_seen"] == 300


# --- a gate


def test_an_update_that_drifts_too_far_leaves_no_model_and_replaces_none(folder, tmp_path, here):
    out = tmp_path / "run"
    command = ("update", folder / "run", folder / "moved.csv", "-o", out)
    assert here("update", folder / "run", folder / "new.parquet", "-o", out).code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    drifted = here(*command, "--force", "--fail-below-difference", -0.1)
    assert drifted.code == 3
    assert ", below -0.1" in drifted.err
    assert "--fail-below-difference" in drifted.err
    assert {name: (out / name).read_bytes() for name in before} == before
    assert load(out).n_rows_ == 1800
    fresh = tmp_path / "fresh"
    for _ in range(2):
        assert here(*command[:-1], fresh, "--fail-below-difference", -0.1).code == 3
        assert record_of(fresh)["state"] == "failed"
        assert not (fresh / "model.safetensors").exists()


def test_the_least_difference_is_no_part_of_the_run_but_holds_for_a_complete_one(
    folder, tmp_path, here
):
    command = ("update", folder / "run", folder / "moved.csv", "-o", tmp_path / "run")
    assert here(*command, "--fail-below-difference", -100).code == 0
    difference = record_of(tmp_path / "run")["drift"]["difference"]
    done = here(*command, "--fail-below-difference", difference)
    assert (done.code, "already complete" in done.err) == (0, True)
    assert here(*command, "--fail-below-difference", difference + 1e-9).code == 3
    assert record_of(tmp_path / "run")["state"] == "complete"
    with pytest.raises(BelowThresholdError, match="below 0"):
        jobs.update(folder / "run", folder / "moved.csv", tmp_path / "o", fail_below_difference=0)


# --- from Python


class Ear(Silence):
    """Notes what it hears."""

    def __init__(self):
        self.heard = []

    def start(self, start):
        self.heard.append(start.place)

    def tell(self, state):
        self.heard.append((state.iteration, state.rows))


def test_jobs_update_takes_and_returns_plain_values(folder, tmp_path, capfd):
    ear = Ear()
    out = str(tmp_path / "run")
    record = jobs.update(folder / "run", folder / "moved.csv", out, forgetting=0.5, listener=ear)
    assert json.loads(json.dumps(record)) == record
    assert record == {**record_of(tmp_path / "run"), "run": out, "already": False}
    assert record["result"]["weight"] == 750
    assert ear.heard == ["in this process", (1, 300)]
    again = jobs.update(str(folder / "run"), [folder / "moved.csv"], out, forgetting=0.5)
    assert again == {**record, "already": True}
    assert capfd.readouterr() == ("", "")


def test_jobs_update_raises_our_errors(folder, tmp_path):
    out = str(tmp_path / "run")
    with pytest.raises(ConfigurationError, match="forgetting"):
        jobs.update(folder / "run", folder / "moved.csv", out, forgetting=2)
    with pytest.raises(TypeError, match="max_iter"):
        jobs.update(folder / "run", folder / "moved.csv", out, max_iter=2)
    with pytest.raises(OutputError, match="to be updated"):
        jobs.update(folder / "run", folder / "moved.csv", folder / "run")
    assert not (tmp_path / "run").exists()
