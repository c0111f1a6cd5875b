"""A fit that is ended while its starts are sought goes on with the search, to the same bits."""

import itertools
import pickle
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from functools import partial

import dask
import dask.array as da
import numpy as np
import pytest

from daskgmm import GaussianMixture, GaussianMixtureSelector, load, open_dataset
from daskgmm.data.source import Block, Source
from daskgmm.errors import DataError
from daskgmm.fitting.progress import FitProgress, StartsProgress
from daskgmm.fitting.settings import Candidate, Settings
from daskgmm.fitting.starts import search as start_search
from daskgmm.fitting.starts.preparation import Preparation, Started
from daskgmm.fitting.starts.report import StartsReport
from daskgmm.fitting.stored.checkpoint import FileCheckpoint
from daskgmm.fitting.stored.checkpoint_file import CheckpointContent
from daskgmm.model.kernels.compiled import compile_ahead
from daskgmm.passes.cache import choose
from daskgmm.passes.engine import threads
from daskgmm.passes.engine.persist import DecodedPart
from daskgmm.passes.engine.progress import Reports
from daskgmm.passes.survey import Request
from daskgmm.passes.survey_pass import surveyed
from daskgmm.training.search_progress import Steps
from tests.fitting.test_checkpoint import NAME, EndedError, bits, bits_of_sweep
from tests.support.clusters import in_threads
from tests.support.rows import correlated, parquet_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

OPTIONS = {"tol": 1e-3, "max_iter": 12, "random_state": 0}


def in_chunks(n=900):
    rows, _ = correlated(n, 3, 4, spread=2, apart=1.5)
    return da.from_array(rows, chunks=(200, 3))


@pytest.fixture
def short(monkeypatch):
    """Stretches of a few steps each."""
    monkeypatch.setattr(start_search, "STRETCH", 1e6)


def ended_in_starts(monkeypatch, fit, path):
    """Fit again and again, each attempt ended after it has saved a stretch; returns how many."""
    write = FileCheckpoint._write

    def end(checkpoint, progress):
        write(checkpoint, progress)
        if isinstance(progress, StartsProgress):
            raise EndedError

    monkeypatch.setattr(FileCheckpoint, "_write", end)
    for attempts in range(1000):
        try:
            fit(path)
        except EndedError:
            continue
        return attempts
    raise AssertionError("the search goes on for ever")


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"refine": "none", "subsample": 300, "n_init": 2, "max_iter": 30},
        {"noise": True, "prior": "default"},
    ],
)
def test_ended_in_each_stretch_it_comes_to_the_same_bits(short, monkeypatch, tmp_path, more):
    options = OPTIONS | more
    expected = GaussianMixture(4, **options).fit(in_chunks())
    found = []

    def fit(path):
        found.append(GaussianMixture(4, **options, checkpoint=path).fit(in_chunks()))

    assert ended_in_starts(monkeypatch, fit, tmp_path / NAME) > 2
    assert bits(found[0]) == bits(expected)
    assert found[0].refinement_ == expected.refinement_
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_random_numbers_are_left_as_they_were(short, monkeypatch, tmp_path):
    one, other = np.random.RandomState(5), np.random.RandomState(5)
    options = OPTIONS | {"n_init": 2}
    GaussianMixture(3, **options | {"random_state": one}).fit(in_chunks())
    model = GaussianMixture(3, **options | {"random_state": other})
    attempts = ended_in_starts(
        monkeypatch,
        lambda path: model.set_params(checkpoint=path).fit(in_chunks()),
        tmp_path / NAME,
    )
    assert attempts > 2
    assert one.random_sample() == other.random_sample()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_each_candidates_search_goes_on_by_itself(short, monkeypatch, tmp_path):
    expected = GaussianMixtureSelector((1, 3), **OPTIONS).fit(in_chunks())
    found = []

    def fit(path):
        found.append(GaussianMixtureSelector((1, 3), **OPTIONS, checkpoint=path).fit(in_chunks()))

    assert ended_in_starts(monkeypatch, fit, tmp_path / NAME) > 2
    assert bits_of_sweep(found[0]) == bits_of_sweep(expected)


@pytest.mark.slow
def test_a_cluster_goes_on_with_what_threads_began_and_reads_the_rows_once(
    short, monkeypatch, tmp_path
):
    expected = GaussianMixture(4, **OPTIONS).fit(in_chunks())
    left = tmp_path / NAME
    with monkeypatch.context() as patch:
        fit = GaussianMixture(4, **OPTIONS, checkpoint=left).fit
        patch.setattr(FileCheckpoint, "remove", lambda _: None)
        save, saved = FileCheckpoint.save, []

        def end(checkpoint, progress):
            save(checkpoint, progress)
            saved.append(progress)
            if len(saved) == 2:
                raise EndedError

        patch.setattr(FileCheckpoint, "save", end)
        with pytest.raises(EndedError):
            fit(in_chunks())
    with in_threads(n_workers=2) as client:
        found = GaussianMixture(4, **OPTIONS, checkpoint=left).fit(in_chunks())
        prefixes = client.run_on_scheduler(
            lambda dask_scheduler: {
                name: prefix.state_counts["memory"]
                for name, prefix in dask_scheduler.task_prefixes.items()
            }
        )
    assert bits(found) == bits(expected)
    assert prefixes["gmm-init-starts"] > 2
    assert prefixes["gmm-init"] < 10


@pytest.mark.slow
def test_the_bits_are_the_same_on_any_number_of_threads_and_workers(in_many_parts, monkeypatch):
    def fitted():
        return bits(GaussianMixture(3, **OPTIONS).fit(in_chunks(400)))

    with dask.config.set(scheduler="synchronous"):
        expected = fitted()
    for number in (2, 8):
        monkeypatch.setattr(threads, "threads_here", lambda number=number: number)
        assert fitted() == expected
    for workers, each in ((1, 3), (2, 1)):
        with in_threads(n_workers=workers, threads_per_worker=each):
            assert fitted() == expected


@pytest.mark.slow
def test_a_search_goes_on_on_other_numbers_of_threads(in_many_parts, short, monkeypatch, tmp_path):
    with dask.config.set(scheduler="synchronous"):
        expected = GaussianMixture(4, **OPTIONS).fit(in_chunks())
    found, numbers = [], itertools.cycle((2, 1, 8))

    def fit(path):
        number = next(numbers)
        monkeypatch.setattr(threads, "threads_here", lambda: number)
        found.append(GaussianMixture(4, **OPTIONS, checkpoint=path).fit(in_chunks()))

    assert ended_in_starts(monkeypatch, fit, tmp_path / NAME) > 2
    assert bits(found[0]) == bits(expected)


def of_two_stretches(monkeypatch, path):
    saved, save = [], FileCheckpoint.save

    def end(checkpoint, progress):
        save(checkpoint, progress)
        saved.append(progress)
        if len(saved) == 2:
            raise EndedError

    with monkeypatch.context() as patch:
        patch.setattr(FileCheckpoint, "save", end)
        with pytest.raises(EndedError):
            GaussianMixture(4, **OPTIONS, checkpoint=path).fit(in_chunks())


@pytest.mark.slow
def test_another_version_begins_the_search_again(short, monkeypatch, tmp_path, caplog):
    path = tmp_path / NAME
    of_two_stretches(monkeypatch, path)
    monkeypatch.setattr("daskgmm.fitting.stored.checkpoint.version", lambda _: "9.9")
    with caplog.at_level("INFO"):
        found = GaussianMixture(4, **OPTIONS, checkpoint=path).fit(in_chunks())
    assert "begins again" in caplog.text
    assert bits(found) == bits(GaussianMixture(4, **OPTIONS).fit(in_chunks()))


def test_rows_that_have_changed_are_bad_data(short, monkeypatch, tmp_path):
    path = tmp_path / NAME
    of_two_stretches(monkeypatch, path)
    monkeypatch.setattr(start_search, "_digest", lambda _: "other")
    with pytest.raises(DataError, match="other rows than before"):
        GaussianMixture(4, **OPTIONS, checkpoint=path).fit(in_chunks())


def test_a_short_search_writes_no_checkpoint_of_its_own(monkeypatch, tmp_path):
    kinds, write = [], FileCheckpoint._write

    def note(checkpoint, progress):
        kinds.append(type(progress))
        write(checkpoint, progress)

    monkeypatch.setattr(FileCheckpoint, "_write", note)
    GaussianMixture(4, **OPTIONS, checkpoint=tmp_path / NAME).fit(in_chunks())
    assert set(kinds) == {FitProgress}


# --- memory


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
@pytest.mark.parametrize("checkpoint", [None, NAME])
def test_what_stretches_bring_is_counted_where_there_are_any(checkpoint, tmp_path, monkeypatch):
    tasks, chosen = [], choose.CACHES["auto"]
    monkeypatch.setitem(
        choose.CACHES, "auto", lambda source, task: tasks.append(task) or chosen(source, task)
    )
    rows, _ = correlated(900, 3, 4, spread=2, apart=1.5)
    dataset = open_dataset(parquet_of(rows, tmp_path / "rows.parquet"))
    path = checkpoint and tmp_path / checkpoint
    GaussianMixture(4, **OPTIONS, checkpoint=path).fit(dataset)
    GaussianMixtureSelector((3, 4), **OPTIONS, checkpoint=path and f"{path}-2").fit(dataset)
    assert [task.search.in_stretches for task in tasks] == [checkpoint is not None] * 2
    (one, _) = tasks
    alone = replace(one, search=replace(one.search, in_stretches=False))
    brought = one.search.steps_bytes(one.result_bytes) if checkpoint else 0
    brought += 5 * one.result_bytes if checkpoint else 0
    assert one.search_bytes == alone.search_bytes + brought


def unheard(_):
    """Take a report, and do nothing."""


@pytest.mark.slow
def test_a_search_in_stretches_takes_the_memory_that_is_counted(monkeypatch):
    """And at least three quarters of it: beside its mixtures lies what came with the task."""
    monkeypatch.setattr("daskgmm.training.refinement.sampled.TOGETHER_BYTES", 1)
    monkeypatch.setattr("daskgmm.fitting.settings.TOGETHER_BYTES", 1)  # as large mixtures go
    monkeypatch.setattr("daskgmm.training.refinement.rounds.MOVES_BYTES", 1)
    n, n_features, n_components = 3000, 80, 120
    rows, _ = correlated(n, n_features, n_components, spread=2, apart=3.0)
    part = DecodedPart("rows", (Block(np.ascontiguousarray(rows.T)),))
    source = Source((part,), n_features, rows.dtype, lengths=(n,), in_memory=True)
    model = GaussianMixture(n_components, subsample=n)
    candidate = Candidate.of(model, source, in_memory=False)
    settings = Settings.of(model, (candidate,), source.dtype, in_stretches=True)
    counted = settings.task(source).search_bytes
    prepare = Preparation(settings, candidate, None, np.random.RandomState(0))
    request = Request(0, n, scatter=False, dtype=source.dtype, expected=n, missing=settings.missing)
    compile_ahead(source.dtype, source.dtype)
    GaussianMixture(3).fit(rows[:300, :2])  # searches too: what is loaded does not count

    def find():
        """Stretches as a worker makes them, each from what it was sent."""
        sampled, report = surveyed(source, request), StartsReport("run", 0, Reports(unheard, None))
        found, stretches = Started(None, prepare.random, steps=Steps()), 0
        while found.traces is None:
            sent = pickle.dumps(partial(prepare, report=report, earlier=found.steps, most=8e9))
            del found
            (found,) = sampled.apply([pickle.loads(sent)], str(stretches))  # noqa: S301  ours
            del sent  # a worker holds its task until it has ended
            stretches += 1
        return stretches

    tracemalloc.start()
    try:
        assert find() > 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.75 * counted <= peak <= counted, (peak, counted)


SCRIPT = """
import os, signal, sys, warnings
import dask
from daskgmm import GaussianMixture
from daskgmm.fitting.starts import search as start_search
from daskgmm.fitting.starts.preparation import Preparation, Started
from daskgmm.fitting.starts.report import StartsReport
from daskgmm.fitting.stored.checkpoint import FileCheckpoint
from tests.fitting.test_start_search import OPTIONS, in_chunks

path, last = sys.argv[1], int(sys.argv[2])
start_search.STRETCH, writes, write = 0.0, [], FileCheckpoint._write

def killed(checkpoint, progress):
    write(checkpoint, progress)
    writes.append(progress)
    if len(writes) == last:
        os.kill(os.getpid(), signal.SIGKILL)

FileCheckpoint._write = killed
warnings.simplefilter("ignore")
GaussianMixture(4, **OPTIONS, checkpoint=path).fit(in_chunks()).save(path)
"""


@pytest.mark.slow
def test_a_process_killed_within_the_starts_leaves_what_leads_to_the_same_bits(tmp_path):
    path = tmp_path / NAME
    for last in (2, 3, 0):
        command = [sys.executable, "-c", SCRIPT, str(path), str(last)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == (-signal.SIGKILL if last else 0), done.stderr
        if last:
            content = CheckpointContent.from_bytes(path.read_bytes(), NAME)
            assert isinstance(content.progress, StartsProgress)
    assert bits(load(path)) == bits(GaussianMixture(4, **OPTIONS).fit(in_chunks()))
