"""Jobs called from Python: plain values in and out, nothing on the screen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from daskgmm import GaussianMixture, open_dataset
from daskgmm.data.formats.csv import CsvPart
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ConfigurationError, DataError, MissingInputError, OutputError
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.fitting import FitRequest, fit, run_fit
from daskgmm.jobs.inputs import Inputs
from daskgmm.jobs.listener import Silence
from daskgmm.jobs.methods import MixtureSpec
from daskgmm.jobs.models import find_model
from daskgmm.jobs.predicting import PredictRequest, predict, write_predictions
from daskgmm.jobs.runs.directory import Run, State
from daskgmm.jobs.scoring import run_score, score
from daskgmm.jobs.selecting import select
from daskgmm.jobs.updating import update
from tests.support.paths import IRIS

INPUTS = Inputs((str(IRIS),), ("sepal_length", "sepal_width"))


@pytest.fixture
def request_(tmp_path):
    return FitRequest(INPUTS, str(tmp_path / "run"), MixtureSpec(3, seed=0))


class Ear(Silence):
    """Notes what it hears."""

    def __init__(self):
        self.heard = []

    def start(self, start):
        self.heard.append(start)

    def tell(self, state):
        self.heard.append(state.iteration)


@pytest.mark.slow
def test_fit_score_and_predict_say_nothing(request_, tmp_path, capfd):
    outcome = run_fit(request_)
    model = find_model(request_.output).fitted
    scores = run_score(model, INPUTS)
    written = write_predictions(
        model, PredictRequest(INPUTS, str(tmp_path / "out"), ("log-density",))
    ).plain()
    assert outcome.run == Run.at(Folder.of(request_.output, {}))
    assert scores.rows == written["rows"] == 150
    assert written["columns"] == ["log_density"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_listener_hears_the_start_and_each_pass(request_):
    ear = Ear()
    outcome = run_fit(request_, ear)
    start, *passes = ear.heard
    assert (start.n_features, start.place) == (2, "in this process")
    assert passes == list(range(1, outcome.run.record["result"]["n_iter"] + 1))


@pytest.mark.slow
def test_a_complete_run_is_found_again(request_):
    first, second = run_fit(request_), run_fit(request_)
    assert (first.already, second.already) == (False, True)
    assert first.run == second.run
    unseeded = replace(request_, method=MixtureSpec(3))
    assert run_fit(unseeded).already


def test_failures_are_our_own_exceptions(request_):
    def attempt(**changes):
        run_fit(replace(request_, **changes))

    with pytest.raises(MissingInputError):
        attempt(inputs=Inputs(("nope.csv",)))
    with pytest.raises(DataError):
        attempt(inputs=Inputs((str(IRIS),)))
    with pytest.raises(OutputError):
        attempt(output="/nowhere/run")
    for mixture in (
        MixtureSpec(0),
        MixtureSpec(2, covariance="round"),
        MixtureSpec(2, chosen={"init": "luck"}),
    ):
        with pytest.raises(ConfigurationError):
            attempt(method=mixture)


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"threads": -1}, {"memory_limit": "x"}])
def test_resources_are_checked_when_they_are_named(wrong):
    with pytest.raises(ConfigurationError):
        Resources(**wrong)


def test_storage_options_are_never_shown():
    assert "hunter2" not in repr(Inputs(("a",), storage_options={"secret": "hunter2"}))


class Replacement(Silence):
    """Replaces a file while a job runs: after a fit's first pass, or as others begin."""

    def __init__(self, path, content, *, at_start):
        self.path, self.content, self.at_start = path, content, at_start

    def start(self, start):
        if self.at_start:
            self.replace()

    def tell(self, state):
        if state.iteration == 1 and not self.at_start:
            self.replace()

    def replace(self):
        beside = self.path.with_name("beside")
        beside.write_bytes(self.content)
        beside.replace(self.path)


ROWS = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([[0.0], [3.0]], 150, axis=0)


def stored(folder, name):
    """A file of rows, and what it is replaced with: the same rows with a line more."""
    path, frame = folder / name, pd.DataFrame(ROWS, columns=["a", "b"])
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    elif name.endswith(".csv"):
        frame.to_csv(path, index=False)
    elif name.endswith(".npy"):
        np.save(path, ROWS)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["x"] = ROWS
    return path, path.read_bytes() + b"0,0\n"


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.npy", "a.h5"])
def test_an_input_that_is_replaced_during_a_fit_ends_it(tmp_path, name, cache):
    path, content = stored(tmp_path, name)
    request = FitRequest(
        Inputs((str(path),)), str(tmp_path / "run"), MixtureSpec(2, seed=0), cache=cache
    )
    with pytest.raises(DataError, match=f"{name}.* changed while it was read"):
        run_fit(request, Replacement(path, content, at_start=False))
    assert Run.at(Folder.of(request.output, {})).state is State.FAILED


def test_a_chunk_that_is_replaced_during_a_fit_ends_it(tmp_path):
    zarr = pytest.importorskip("zarr")
    store = tmp_path / "a.zarr"
    zarr.create_array(str(store), data=ROWS, chunks=(100, 2))
    chunk = store / "c" / "1" / "0"
    request = FitRequest(
        Inputs((str(store),)), str(tmp_path / "run"), MixtureSpec(2, seed=0), cache="memory"
    )
    with pytest.raises(DataError, match=r"a\.zarr.* changed while it was read"):
        run_fit(request, Replacement(chunk, chunk.read_bytes(), at_start=False))


def test_an_input_that_is_gone_after_a_fit_ends_it(tmp_path):
    path, _ = stored(tmp_path, "a.csv")

    class Removal(Silence):
        def tell(self, state):
            path.unlink(missing_ok=True)

    request = FitRequest(
        Inputs((str(path),)), str(tmp_path / "run"), MixtureSpec(2, seed=0), cache="memory"
    )
    with pytest.raises(DataError, match=r"a\.csv is gone"):
        run_fit(request, Removal())


@pytest.mark.slow
def test_an_object_that_is_replaced_during_a_fit_ends_it(tmp_path, s3):
    path, content = stored(tmp_path, "a.parquet")
    s3.filesystem.put(str(path), f"{s3.url}/a.parquet")

    class Overwriting(Silence):
        def tell(self, state):
            s3.filesystem.pipe(f"{s3.url}/a.parquet", content)

    inputs = Inputs((f"{s3.url}/a.parquet",), storage_options=s3.options)
    with pytest.raises(DataError, match=r"a\.parquet changed while it was read"):
        fit(
            inputs.paths, str(tmp_path / "run"), components=2, cache="memory",
            storage_options=s3.options, listener=Overwriting(),
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("made", ["score", "predict", "update", "select"])
def test_every_job_tells_of_an_input_that_changed_after_it_was_read(tmp_path, made, monkeypatch):
    path, content = stored(tmp_path, "a.csv")
    fit(path, str(tmp_path / "run"), components=2, seed=0)
    read, replacement = CsvPart.read, Replacement(path, content, at_start=False)

    def read_and_replace(part):
        yield from list(read(part))
        replacement.replace()

    monkeypatch.setattr(CsvPart, "read", read_and_replace)
    jobs = {
        "score": lambda: score(str(tmp_path / "run"), path),
        "predict": lambda: predict(str(tmp_path / "run"), path, str(tmp_path / "out")),
        "update": lambda: update(str(tmp_path / "run"), path, str(tmp_path / "run2")),
        "select": lambda: select(path, str(tmp_path / "run3"), components=[1, 2], cache="memory"),
    }
    with pytest.raises(DataError, match=r"a\.csv changed while it was read"):
        jobs[made]()
    assert not (tmp_path / "out").exists()


def test_an_estimator_tells_of_a_dataset_that_changed_after_it_was_read(tmp_path):
    path, content = stored(tmp_path, "a.parquet")
    change = Replacement(path, content, at_start=False)
    with pytest.raises(DataError, match=r"a\.parquet changed while it was read"):
        GaussianMixture(2, random_state=0, cache="memory", callbacks=[change.tell]).fit(
            open_dataset(path)
        )


@pytest.mark.slow
def test_files_in_another_order_than_a_run_read_them_are_told_as_that(tmp_path):
    for number in range(11):
        pd.DataFrame(ROWS[20 * number : 20 * number + 20], columns=["a", "b"]).to_csv(
            tmp_path / f"part.{number}.csv", index=False
        )
    paths = [str(tmp_path / f"part.{number}.csv") for number in range(11)]
    fit(sorted(paths), str(tmp_path / "run"), components=2, seed=0)
    with pytest.raises(OutputError, match=r"differs in the order of the input files"):
        fit(paths, str(tmp_path / "run"), components=2, seed=0)
