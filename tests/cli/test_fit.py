import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from daskgmm import load, open_dataset
from tests.support.command import COMMAND, here, in_process
from tests.support.paths import IRIS

__all__ = ["here"]

FIT = ("fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 3, "--refine", "none")


def record(path):
    return json.loads((path / "run.json").read_text())


@pytest.fixture
def run(tmp_path, here):
    """A complete run."""
    path = tmp_path / "run"
    assert here(*FIT, "-o", path).code == 0
    return path


@pytest.mark.slow
def test_a_fit_leaves_a_whole_run_directory_and_its_result_on_standard_output(tmp_path):
    path = tmp_path / "run"
    done = in_process(*FIT, "-o", path, "--seed", 0, command=COMMAND)
    assert done.code == 0
    assert [one.name for one in tmp_path.iterdir()] == ["run"]
    assert sorted(one.name for one in path.iterdir()) == ["model.safetensors", "run.json"]
    said = dict(re.split(r"  +", line, maxsplit=1) for line in done.out.splitlines()[5:])
    assert said["rows"] == "150"
    assert said["converged"] == "yes"
    assert said["seed"] == "0"
    assert said["run"] == str(path)
    assert "Fitting rows of 2 columns in this process." in done.err
    assert "error" not in done.err


def test_the_record_tells_what_was_done_to_what(run):
    found = record(run)
    assert found["state"] == "complete"
    assert found["configuration"]["components"] == 3
    assert found["seed"] == found["configuration"]["seed"]
    assert len(found["configuration_sha256"]) == len(found["inputs"]["sha256"]) == 64
    (file,) = found["inputs"]["files"]
    assert (file["path"], file["rows"], file["bytes"]) == (str(IRIS), 150, IRIS.stat().st_size)
    assert {"python", "daskgmm", "dask", "numpy", "scipy", "scikit-learn"} <= set(found["versions"])
    assert found["result"]["n_iter"] == len(found["trace"])
    assert found["result"]["lower_bound"] == found["trace"][-1]["lower_bound"]
    assert found["timings"]["started"] < found["timings"]["ended"]
    assert found["peak_memory_bytes"] > 10**7
    assert found["host"]["name"]


def test_the_record_is_strict_json_and_holds_no_credential(tmp_path, here):
    secret = ("--storage-option", "auto_mkdir=hunter2")
    assert here(*FIT, "-o", tmp_path / "run", *secret).code == 0
    text = (tmp_path / "run" / "run.json").read_text()
    json.loads(text, parse_constant=pytest.fail)
    assert "hunter2" not in text


def test_the_typed_command_is_recorded_without_credentials(tmp_path, here, monkeypatch):
    typed = (*FIT, "-o", tmp_path / "run", "--storage-option", "auto_mkdir=hunter2")
    monkeypatch.setattr(sys, "argv", ["daskgmm", *map(str, typed)])
    assert here(*typed).code == 0
    command = record(tmp_path / "run")["command"]
    assert command[:2] == ["daskgmm", "fit"]
    assert "auto_mkdir=***" in command


@pytest.mark.slow
def test_a_recorded_seed_gives_the_same_model_again(tmp_path, here, run):
    assert here(*FIT, "-o", tmp_path / "again", "--seed", record(run)["seed"]).code == 0
    one, other = load(run / "model.safetensors"), load(tmp_path / "again" / "model.safetensors")
    assert (one.means_ == other.means_).all()


def test_seeds_differ_where_none_is_given(tmp_path, here, run):
    here(*FIT, "-o", tmp_path / "other")
    assert record(run)["seed"] != record(tmp_path / "other")["seed"]


def test_the_same_command_again_does_nothing_and_says_so(here, run):
    before = (run / "run.json").stat()
    done = here(*FIT, "-o", run)
    assert done.code == 0
    assert done.err == f"{run} is already complete: nothing was done.\n"
    assert "lower bound" in done.out
    after = (run / "run.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_another_configuration_is_refused_by_the_options_that_differ(here, run):
    other = here(*FIT, "-o", run, "-k", 2, "--tol", 1e-4)
    assert other.code == 73
    assert "components (3 there, 2 now)" in other.err
    assert "tol (0.001 there, 0.0001 now)" in other.err
    assert "--force" in other.err
    assert here(*FIT, "-o", run, "--seed", record(run)["seed"] + 1).code == 73


def test_where_it_runs_is_no_difference(here, run):
    assert here(*FIT, "-o", run, "--workers", 1).code == 0


@pytest.mark.slow
def test_a_changed_input_is_refused(tmp_path, here):
    rows = tmp_path / "rows.csv"
    rows.write_bytes(IRIS.read_bytes())
    command = ("fit", rows, "--columns", "sepal_length", "-k", 2, "-o", tmp_path / "run")
    assert here(*command).code == 0
    with rows.open("a") as file:
        file.write("5.0,3.0,1.0,1.0,setosa\n")
    done = here(*command)
    assert done.code == 73
    assert "input files" in done.err


@pytest.mark.slow
def test_force_replaces_a_run(here, run):
    before = record(run)["run_id"]
    assert here(*FIT, "-o", run, "-k", 2, "--force").code == 0
    assert record(run)["run_id"] != before
    assert record(run)["result"]["components"] == 2
    assert [one.name for one in run.parent.iterdir()] == ["run"]


@pytest.mark.slow
def test_a_damaged_record_is_in_the_way_until_forced(here, run):
    (run / "run.json").write_text("{")
    assert here(*FIT, "-o", run).code == 73
    assert here(*FIT, "-o", run, "--force").code == 0


def test_a_fit_that_did_not_converge_is_kept_and_told(tmp_path, here):
    command = (*FIT, "-o", tmp_path / "run", "--max-iter", 2, "--tol", 0)
    done = here(*command)
    assert done.code == 0
    assert done.err.splitlines()[-1].startswith("warning: The fit did not converge in 2 passes")
    assert "converged    no" in done.out
    assert here(*command, "--require-convergence").code == 3
    forced = here(*command, "--require-convergence", "--force")
    assert forced.code == 3
    assert "error: The fit did not converge, and --require-convergence" in forced.err
    assert record(tmp_path / "run")["result"]["converged"] is False


@pytest.mark.slow
def test_a_weight_column_is_no_feature(tmp_path, here):
    rows = tmp_path / "rows.csv"
    rows.write_text("a,w\n1,1\n2,3\n3,0\n")
    assert here("fit", rows, "-k", 1, "--weight-column", "w", "-o", tmp_path / "run").code == 0
    model = load(tmp_path / "run" / "model.safetensors")
    assert list(model.feature_names_in_) == ["a"]
    assert model.means_[0, 0] == pytest.approx(7 / 4)


@pytest.mark.slow
def test_options_reach_the_estimator(tmp_path, here):
    options = {
        "--covariance": "diag", "--init": "random_from_data", "--n-init": 3, "--tol": 0.01,
        "--stopping": "parameters", "--max-iter": 50, "--reg-covar": 1e-4, "--subsample": "none",
        "--dtype": "float32", "--seed": 7, "--acceleration": "squarem",
    }  # fmt: skip
    flat = [word for pair in options.items() for word in pair]
    assert here(*FIT, "-o", tmp_path / "run", *flat).code == 0
    found = load(tmp_path / "run" / "model.safetensors").get_params()
    expected = {
        "covariance_type": "diag", "init_params": "random_from_data", "n_init": 3, "tol": 0.01,
        "stopping": "parameters", "max_iter": 50, "reg_covar": 1e-4, "subsample": None,
        "dtype": "float32", "random_state": 7, "n_components": 3, "acceleration": "squarem",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


@pytest.mark.slow
def test_the_model_is_the_one_that_python_fits(tmp_path, here):
    from daskgmm import GaussianMixture

    here(*FIT, "-o", tmp_path / "run", "--seed", 5, "--refine", "auto")
    rows = open_dataset(IRIS, columns=["sepal_length", "sepal_width"])
    expected = GaussianMixture(3, random_state=5).fit(rows)
    assert (load(tmp_path / "run" / "model.safetensors").means_ == expected.means_).all()


@pytest.mark.slow
def test_a_figure_is_drawn_beside_the_run(tmp_path, here):
    assert here(*FIT, "-o", tmp_path / "run", "--plot", tmp_path / "run.png").code == 0
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_odd_components_are_told_of_together(tmp_path, here):
    rows = np.random.default_rng(0).normal(size=(30, 40, 2)) + 9 * np.arange(30)[:, None, None]
    rows[:, :, 1] = 1000 + 9 * np.arange(30)[:, None]
    np.save(tmp_path / "rows.npy", rows.reshape(-1, 2))
    done = here("fit", tmp_path / "rows.npy", "-k", 30, "--seed", 0, "-o", tmp_path / "run")
    told = [line for line in done.err.splitlines() if "omponents" in line]
    assert len(told) == 1
    assert re.search(r"Components .*, … are hardly wider than reg_covar.* `daskgmm show`", told[0])


@pytest.mark.parametrize("quiet", ["--no-progress", "--log-level=warning"])
def test_a_quiet_fit_says_nothing_but_its_result(tmp_path, here, quiet):
    done = here(*FIT, "-o", tmp_path / "run", quiet)
    assert (done.code, done.err) == (0, "")
    assert "lower bound" in done.out


@pytest.mark.slow
def test_away_from_a_terminal_every_tenth_pass_and_the_last_have_a_line(tmp_path, here):
    done = here(*FIT, "-o", tmp_path / "run", "--tol", 0, "--max-iter", 25)
    numbers = [int(line.split()[1][:-1]) for line in done.err.splitlines() if line[:4] == "Pass"]
    assert numbers == [10, 20, 25]


@pytest.mark.slow
def test_on_a_terminal_the_progress_moves_and_goes(tmp_path):
    ours, theirs = pty.openpty()
    command = [*COMMAND, *FIT, "-o", tmp_path / "run", "--tol", 0, "--max-iter", 100]
    with subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(theirs)
        said = _all_of(ours)
    assert process.returncode == 0
    assert re.search(r"pass \d+ of at most 100", said)
    assert "lower bound" in said
    assert said.rstrip().endswith("raise --max-iter or --tol.")


def _all_of(terminal):
    said = b""
    with suppress(OSError):  # Linux's way to say that the other end is closed
        while piece := os.read(terminal, 65536):
            said += piece
    os.close(terminal)
    return said.decode()


@pytest.mark.slow
def test_noise_is_labelled_and_shown(tmp_path, here):
    path = tmp_path / "run"
    assert here(*FIT, "-o", path, "--noise", "--seed", 0).code == 0
    shown = json.loads(here("show", path, "--json").out)
    assert sum(shown["weights"]) + shown["noise"]["weight"] == pytest.approx(1)
    assert "noise" in here("show", path).out
    out = tmp_path / "labels"
    assert here("predict", path, IRIS, "-o", out, "--with", "labels,probabilities").code == 0
    assert "probability_noise" in open_dataset(out).columns
