"""The life of a run: what is in its directory when, and what the same order again does."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from daskgmm import jobs, load
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DataError, MissingInputError, OutputError
from daskgmm.jobs import locks
from daskgmm.jobs.listener import Silence
from daskgmm.jobs.locks import locked
from daskgmm.jobs.locks import store as store_lock
from daskgmm.jobs.locks.owner import Owner, this_process
from daskgmm.jobs.models import find_model
from daskgmm.jobs.runs import lifecycle
from tests.support.paths import IRIS

COLUMNS = ["sepal_length", "sepal_width"]
LONG = {"columns": COLUMNS, "components": 3, "tol": 0, "max_iter": 12, "refine": "none"}


class Stop(Silence):
    """Interrupts a fit after some passes, or looks on."""

    def __init__(self, after, action=None):
        self.after, self.action = after, action
        self.heard = []

    def tell(self, state):
        self.heard.append(state.iteration)
        if state.iteration == self.after:
            if self.action is None:
                raise KeyboardInterrupt
            self.action()


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def place(request, tmp_path):
    """A run directory to come, and the storage options that reach it."""
    if request.param == "local":
        return str(tmp_path / "run"), {}
    if request.param == "memory":
        return f"memory://{uuid4().hex}/run", {}
    store = request.getfixturevalue("s3")
    return f"{store.url}/run", store.options


@pytest.fixture
def run(tmp_path):
    return str(tmp_path / "run")


def fit(run, options=None, **more):
    return jobs.fit(str(IRIS), run, storage_options=options or {}, **{**LONG, **more})


def interrupted(run, options=None, after=5, **more):
    stop = Stop(after)
    with pytest.raises(KeyboardInterrupt):
        fit(run, options, listener=stop, **more)
    return stop.heard


def record(run, options=None):
    return json.loads(Folder.of(run, options or {}).read("run.json"))


def names(run, options=None):
    return Folder.of(run, options or {}).names()


def outcome(found):
    """What a record tells that must be the same to the bit."""
    trace = [{key: one[key] for key in one if key != "seconds"} for one in found["trace"]]
    return found["result"], trace


def bits(run, options=None):
    model = find_model(run, options).estimator
    return [getattr(model, name).tobytes() for name in ("weights_", "means_", "covariances_")]


@pytest.mark.slow
def test_a_run_goes_on_to_the_bit_wherever_it_lies(place, tmp_path):
    run, options = place
    heard = interrupted(run, options, seed=3)
    assert heard == [1, 2, 3, 4, 5]
    failed = record(run, options)
    assert (failed["state"], failed["failure"]["kind"]) == ("failed", "interrupted")
    assert names(run, options) == ["checkpoint.safetensors", "run.json"]
    onlooker = Stop(12, lambda: None)
    done = fit(run, options, seed=3, listener=onlooker)
    assert onlooker.heard == list(range(6, 13))
    assert (done["run_id"], done["attempts"]) == (failed["run_id"], 2)
    assert "failure" not in done
    assert names(run, options) == ["model.safetensors", "run.json"]
    undisturbed = str(tmp_path / "undisturbed")
    assert outcome(done) == outcome(fit(undisturbed, seed=3))
    assert bits(run, options) == bits(undisturbed)
    assert fit(run, options, seed=3)["already"]


def test_a_run_is_told_from_its_beginning(place):
    run, options = place
    seen = {}

    def look():
        seen.update(record(run, options), names=names(run, options))

    fit(run, options, listener=Stop(3, look))
    assert seen["state"] == "running"
    assert seen["process"] == os.getpid()
    assert seen["seed"] == seen["configuration"]["seed"]
    assert seen["timings"]["started"]
    assert seen["inputs"]["files"][0]["bytes"] == IRIS.stat().st_size
    assert seen["names"] == [".lock", "checkpoint.safetensors", "run.json"]


def test_a_drawn_seed_stays_with_its_run(run):
    interrupted(run)
    seed = record(run)["seed"]
    assert fit(run)["seed"] == seed
    assert fit(run)["already"]


def test_no_resume_begins_again(run):
    interrupted(run, seed=1)
    before = record(run)
    stop = Stop(0)
    done = fit(run, seed=1, resume=False, listener=stop)
    assert stop.heard[0] == 1
    assert done["run_id"] != before["run_id"]
    assert done["attempts"] == 1


def test_a_failure_is_recorded_with_its_reason(tmp_path, run):
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n1,2\n3,x\n")
    with pytest.raises(DataError) as raised:
        jobs.fit(str(rows), run, components=1)
    found = record(run)
    assert (found["state"], found["failure"]["kind"]) == ("failed", type(raised.value).__name__)
    assert found["failure"]["cause"] == raised.value.cause
    assert found["failure"]["remedy"] == raised.value.remedy
    assert names(run) == ["run.json"]


def test_an_unfinished_run_without_checkpoint_is_in_nobodys_way(run):
    with pytest.raises(DataError):
        jobs.fit(str(IRIS), run, components=500, columns=COLUMNS)
    assert fit(run)["state"] == "complete"


def test_an_unfinished_run_with_a_checkpoint_is_kept_from_others(run):
    interrupted(run, seed=1)
    with pytest.raises(OutputError, match=r"unfinished run that differs in components \(3 there"):
        fit(run, seed=1, components=2)
    assert "checkpoint.safetensors" in names(run)
    done = fit(run, seed=1, components=2, force=True)
    assert done["result"]["components"] == 2
    assert names(run) == ["model.safetensors", "run.json"]


@pytest.mark.slow
def test_a_run_without_its_model_is_no_complete_one(run, caplog):
    done = fit(run, seed=1)
    model = Path(run, "model.safetensors")
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match=r"model is damaged: its model\.safetensors is not"):
        find_model(run)
    again = fit(run, seed=1)
    assert "is not the file that the run wrote" in caplog.text
    assert (again["already"], again["run_id"]) == (False, done["run_id"])
    assert load(run).means_.tobytes() == find_model(run).estimator.means_.tobytes()
    model.unlink()
    assert not fit(run, seed=1)["already"]


def test_an_unfinished_run_is_no_model(run):
    interrupted(run)
    with pytest.raises(MissingInputError, match=r"its run failed: The run was interrupted"):
        find_model(run)
    path = Path(run, "run.json")
    path.write_text(path.read_text().replace('"failed"', '"running"'))
    with pytest.raises(MissingInputError, match=f"process {os.getpid()} on"):
        find_model(run)


@pytest.mark.slow
def test_a_complete_run_stays_until_its_replacement_is_complete(place):
    run, options = place
    first = fit(run, options, seed=1)
    bits_before = bits(run, options)
    interrupted(run, options, seed=2, force=True)
    assert record(run, options) == {k: first[k] for k in first if k not in ("run", "already")}
    assert bits(run, options) == bits_before
    assert fit(run, options, seed=1)["already"]
    with pytest.raises(OutputError, match="seed"):
        fit(run, options, seed=2)
    stop = Stop(0)
    second = fit(run, options, seed=2, force=True, listener=stop)
    assert stop.heard[0] == 6
    assert (second["seed"], second["attempts"]) == (2, 2)
    assert names(run, options) == ["model.safetensors", "run.json"]
    assert bits(run, options) != bits_before


@pytest.mark.slow
@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_replacement_that_was_complete_is_put_into_place(run, tmp_path, written):
    """Killed when `written` of the two files were in place."""
    fit(run, seed=1)
    second = fit(str(tmp_path / "other"), seed=2)
    inner = Path(run, "_replacing")
    inner.mkdir()
    for position, name in enumerate(("model.safetensors", "run.json")):
        content = (tmp_path / "other" / name).read_bytes()
        (inner / name).write_bytes(content)
        if position < written:
            Path(run, name).write_bytes(content)
    stop = Stop(0)
    done = fit(run, seed=2, force=True, listener=stop)
    assert done["run_id"] == second["run_id"]
    assert stop.heard == []
    assert names(run) == ["model.safetensors", "run.json"]


def test_what_a_killed_run_was_about_to_write_goes(run):
    interrupted(run)
    left = Path(run, ".checkpoint.safetensors.x1y2")
    left.touch()
    Path(run, ".lock").touch()
    assert fit(run)["state"] == "complete"
    assert names(run) == ["model.safetensors", "run.json"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_run_is_never_written_into(place, force):
    run, options = place
    folder = Folder.of(run, options)
    folder.make()
    folder.write("notes.txt", b"mine")
    with pytest.raises(OutputError, match="is not a run directory"):
        fit(run, options, force=force)
    assert folder.names() == ["notes.txt"]


def test_one_run_at_a_time(place):
    run, options = place
    refused = []

    def second():
        with pytest.raises(OutputError) as raised:
            fit(run, options, seed=1, force=True)
        refused.append(raised.value)

    done = fit(run, options, seed=1, listener=Stop(3, second))
    (error,) = refused
    assert f"run {done['run_id']} (process {os.getpid()} on" in error.cause
    assert "running for" in error.cause
    assert names(run, options) == ["model.safetensors", "run.json"]


def test_two_that_start_at_once_make_one_run(place):
    run, options = place
    barrier, ended = threading.Barrier(4), []

    def attempt():
        barrier.wait()
        try:
            ended.append(fit(run, options, seed=1)["run_id"])
        except OutputError as error:
            ended.append(error.cause)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = fit(run, options, seed=1)
    assert found["already"]
    others = [one for one in ended if one != found["run_id"]]
    assert len(others) < 4
    assert all("is being written by" in one for one in others)


@pytest.fixture
def folder(s3):
    return Folder.of(f"{s3.url}/run", s3.options)


def abandoned(folder, owner=None):
    """A lock whose owner is gone, from another machine unless said otherwise."""
    owner = owner or {"space": ["elsewhere"], "process": 1}
    folder.write(locks.LOCK_FILE, Owner(owner, datetime.now(UTC)).content(mark="theirs"))


@pytest.mark.slow
def test_a_silent_owners_lock_is_taken_over_by_the_stores_clock(folder, monkeypatch):
    abandoned(folder)
    told = (
        r"written by process 1 on elsewhere, running for .*; it last renewed its lock [\d.]+ s ago"
    )
    with pytest.raises(OutputError, match=told), locked(folder):
        pass
    monkeypatch.setattr(store_lock, "STALE_SECONDS", -1.0)
    with locked(folder):
        assert b"theirs" not in folder.read(locks.LOCK_FILE)
    assert folder.names() == []


@pytest.mark.slow
def test_a_dead_process_of_this_machine_holds_no_lock(folder):
    child = os.posix_spawn("/bin/true", ["/bin/true"], {})
    os.waitpid(child, 0)
    abandoned(folder, {**this_process(), "process": child})
    with locked(folder):
        pass
    abandoned(folder, {**this_process(), "process": 1})
    with pytest.raises(OutputError, match="last renewed its lock"), locked(folder):
        pass


@pytest.mark.slow
def test_an_owner_that_was_taken_for_dead_stops(s3, monkeypatch):
    monkeypatch.setattr(store_lock, "BEAT_SECONDS", 0.01)
    run, folder = f"{s3.url}/run", Folder.of(f"{s3.url}/run", s3.options)
    frozen, seen = threading.Event(), threading.Event()
    beat = store_lock.StoreLock._beat

    def late(self):
        assert frozen.wait(20)
        beat(self)
        seen.set()

    monkeypatch.setattr(store_lock.StoreLock, "_beat", late)

    def take():
        abandoned(folder)
        frozen.set()
        assert seen.wait(20)

    before = {}
    stop = Stop(3, lambda: (take(), before.update(record(run, s3.options))))
    with pytest.raises(OutputError, match="was taken over by another run"):
        fit(run, s3.options, listener=stop)
    assert stop.heard == [1, 2, 3]
    assert record(run, s3.options) == before
    assert b"theirs" in folder.read(locks.LOCK_FILE)


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, "the last pass"])
def test_a_stopped_owner_writes_nothing_after_its_lock_was_taken(s3, monkeypatch, after):
    """It wakes before its next beat, so nobody has told it."""
    run, folder = f"{s3.url}/run", Folder.of(f"{s3.url}/run", s3.options)
    before = {}

    def take():
        abandoned(folder)
        before.update({name: folder.read(name) for name in folder.names()})

    if after == 3:
        listener = Stop(3, take)
    else:
        listener = Stop(0)
        to_bytes = lifecycle.to_bytes
        monkeypatch.setattr(lifecycle, "to_bytes", lambda *given: (take(), to_bytes(*given))[1])
    with pytest.raises(OutputError, match="was taken over by another run"):
        fit(run, s3.options, listener=listener)
    assert {name: folder.read(name) for name in folder.names()} == before
    assert "checkpoint.safetensors" in before


def test_a_living_owner_writes_its_lock_again_and_again(folder, monkeypatch):
    monkeypatch.setattr(store_lock, "BEAT_SECONDS", 0.01)
    write, beats = Folder.write, threading.Semaphore(0)

    def counted(self, name, content):
        write(self, name, content)
        beats.release()

    monkeypatch.setattr(Folder, "write", counted)
    with locked(folder) as lock:
        assert all(beats.acquire(timeout=60) for _ in range(3))
        lock.check()
    assert folder.names() == []


def test_a_lock_that_was_removed_locks_out_nobody_twice(tmp_path):
    folder = Folder.of(tmp_path, {})
    for _ in range(3):
        with locked(folder):
            with pytest.raises(OutputError, match=rf"process {os.getpid()} on .*, running for"):
                locked(folder).__enter__()
            assert folder.names() == [".lock"]
        assert folder.names() == []


def test_a_clock_that_was_set_back_spoils_no_message(run):
    told = []

    def ahead():
        path = Path(run, "run.json")
        found = json.loads(path.read_text())
        found["timings"]["started"] = "2999-01-01T00:00:00+00:00"
        path.write_text(json.dumps(found))
        with pytest.raises(OutputError) as raised:
            fit(run)
        told.append(raised.value.cause)

    done = fit(run, listener=Stop(3, ahead))
    assert "running since 2999-01-01 00:00:00 UTC" in told[0]
    assert 0 < done["timings"]["seconds"] < 60


def test_other_inputs_are_no_reason_to_go_on(tmp_path, run):
    rows = tmp_path / "rows.csv"
    rows.write_bytes(IRIS.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        jobs.fit(str(rows), run, listener=Stop(5), **LONG)
    with rows.open("a") as file:
        file.write("5.0,3.0,1.0,1.0,setosa\n")
    with pytest.raises(OutputError, match="the input files"):
        jobs.fit(str(rows), run, **LONG)


@pytest.mark.slow
def test_a_selection_goes_on_too(tmp_path, run):
    options = {**LONG, "components": [2, 3], "covariance": ["full", "diag"], "seed": 0}
    with pytest.raises(KeyboardInterrupt):
        jobs.select(str(IRIS), run, listener=Stop(5), **options)
    stop = Stop(0)
    done = jobs.select(str(IRIS), run, listener=stop, **options)
    assert stop.heard[0] == 6
    undisturbed = jobs.select(str(IRIS), str(tmp_path / "other"), **options)
    assert outcome(done) == outcome(undisturbed)
    assert bits(run) == bits(str(tmp_path / "other"))


def test_unknown_options_are_refused_before_anything_is_done(run):
    with pytest.raises(TypeError, match="'colour'"):
        fit(run, colour="red")
    assert not Path(run).exists()


def test_jobs_are_imported_when_they_are_wanted():
    script = "import sys, daskgmm.jobs; print(sorted(m for m in sys.modules if 'numpy' in m))"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"
    assert {"fit", "select", "score"} <= set(jobs.__all__)
