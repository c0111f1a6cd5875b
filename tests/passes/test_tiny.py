"""Very many tiny partitions: few tasks, small graphs, the same bits, and nothing left behind."""

import os
import signal
from contextlib import nullcontext

import cloudpickle
import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pytest
from dask.core import flatten
from distributed import Client, wait
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture
from daskgmm.data.source import Block, Source
from daskgmm.errors import DataError
from daskgmm.passes import lengths as counting
from daskgmm.passes.cache.memory import copied
from daskgmm.passes.engine.grouping import FEWEST_TASKS, Bundle, bundled
from tests.support.clusters import assert_forgotten, cluster_of, in_threads, recording, running
from tests.support.fits import bits
from tests.support.rows import overlapping

PARTITIONS = 1000

pytestmark = pytest.mark.filterwarnings("ignore")  # of clusters that are torn down under load


class Rows:
    """A part of the given rows, a row a block; each overwrites the last one, weights too."""

    inputs = ()

    def __init__(self, first, length, weighted):
        self.first, self.length, self.weighted = first, length, weighted
        self.label = f"rows {first}"

    def read(self):
        scratch, weights = np.empty((2, 1)), np.empty(1) if self.weighted else None
        for row in range(self.first, self.first + self.length):
            scratch[:] = row
            if weights is not None:
                weights[:] = row / 2
            yield Block(scratch, weights)


def source_of(lengths, weighted=False):
    firsts = np.cumsum([0, *lengths[:-1]]).tolist()
    parts = [Rows(first, length, weighted) for first, length in zip(firsts, lengths, strict=True)]
    return Source(parts, 2, np.dtype(np.float64), lengths=tuple(lengths))


def rows_of(part):
    """All rows and weights of a part, copied as they come."""
    blocks = list(map(copied, part.read()))
    rows = np.concatenate([np.empty((2, 0)), *(block.rows for block in blocks)], axis=1)
    return rows, [] if not blocks or blocks[0].weights is None else np.concatenate(
        [block.weights for block in blocks]
    )


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(n_parts=st.integers(FEWEST_TASKS + 1, 600), seed=st.integers(0, 99), weighted=st.booleans())
def test_bundles_hold_all_rows_and_weights_in_order(n_parts, seed, weighted):
    lengths = np.random.default_rng(seed).integers(0, 6, n_parts).tolist()
    source = source_of(lengths, weighted)
    found = bundled(source, lengths)
    assert any(isinstance(part, Bundle) for part in found.parts)
    read = [rows_of(part) for part in found.parts]
    assert tuple(rows.shape[1] for rows, _ in read) == found.lengths
    expected = np.arange(sum(lengths))
    assert_array_equal(np.concatenate([rows for rows, _ in read], axis=1), [expected, expected])
    if weighted:
        assert_array_equal(np.concatenate([weights for _, weights in read]), expected / 2)
    for part in found.parts:
        assert len(list(part.read())) <= 1 or not isinstance(part, Bundle)


@settings(max_examples=50, deadline=None)
@given(
    n_parts=st.integers(1, 2000), seed=st.integers(0, 99), most=st.sampled_from([5, 10**3, 10**5])
)
def test_bundles_are_small_and_leave_tasks_enough(n_parts, seed, most):
    lengths = np.random.default_rng(seed).integers(0, most + 1, n_parts).tolist()
    found = bundled(source_of(lengths), lengths)
    assert sum(found.lengths) == sum(lengths)
    for part, length in zip(found.parts, found.lengths, strict=True):
        if isinstance(part, Bundle):
            assert length <= 2**14
            assert len(part.parts) <= -(-len(lengths) // FEWEST_TASKS)
    assert len(found.parts) >= min(len(lengths), FEWEST_TASKS) // 2


def test_large_parts_and_few_parts_stay_as_they_are():
    for lengths in [[10**5] * 1000, [3] * FEWEST_TASKS]:
        source = source_of(lengths)
        assert list(bundled(source, lengths).parts) == list(source.parts)


def in_tiny_chunks(n=PARTITIONS):
    rows = overlapping(8 * n, 4)
    return da.from_array(rows, chunks=(8, 4))


@pytest.mark.slow
def test_a_pass_over_tiny_chunks_has_few_tasks_without_a_cluster():
    with recording() as graphs:
        GaussianMixture(3, random_state=0, max_iter=3, tol=0).fit(in_tiny_chunks())
    assert len(graphs) >= 3
    assert max(map(len, graphs)) <= FEWEST_TASKS * 1.1 + 2


def kinds_of_input():
    chunks = in_tiny_chunks()
    one = da.from_delayed(dask.delayed(float)(0), shape=(), dtype=float)
    return {"drawn anew": chunks, "persisted": chunks.persist(), "sharing": chunks + one}


@pytest.fixture(scope="module")
def expected():
    with dask.config.set(scheduler="synchronous"):
        return bits(in_tiny_chunks())


@pytest.mark.parametrize("kind", ["drawn anew", "persisted", "sharing"])
@pytest.mark.slow
def test_tiny_chunks_have_the_same_bits_in_threads(kind, expected):
    assert bits(kinds_of_input()[kind]) == expected


@pytest.fixture(scope="module")
def workers():
    with cluster_of(n_workers=2) as cluster:
        yield cluster


@pytest.fixture
def client(workers):
    with Client(workers) as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("persisted", [False, True])
def test_a_value_in_a_bundle_is_told_by_its_own_partition_and_row(persisted):
    rows = overlapping(8 * 300, 4)
    rows[8 * 217 + 3, 2] = np.nan
    told = r"partition 217, row 3, .*row 1739 of all"
    X = da.from_array(rows, chunks=(8, 4))
    with in_threads() if persisted else nullcontext(), pytest.raises(DataError, match=told):
        GaussianMixture(2).fit(X.persist() if persisted else X)


@pytest.mark.slow
def test_chunks_that_a_cluster_holds_are_asked_for_once_and_their_copy_is_told(caplog):
    caplog.set_level("INFO", "daskgmm")
    asked, plain = [], Client.get

    def get(client, graph, *arguments, **options):
        asked.append(len(chunks & set().union(*(node.dependencies for node in graph.values()))))
        return plain(client, graph, *arguments, **options)

    with in_threads(2):
        X = in_tiny_chunks(300).persist()
        chunks = set(flatten(X.__dask_keys__()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Client, "get", get)
            GaussianMixture(2, max_iter=3, tol=0, random_state=0).fit(X)
    assert len(asked) >= 5
    assert [found for found in asked if found] == [300]
    assert "75.00 kiB in all, are held a second time" in caplog.text


@pytest.mark.slow
def test_a_pass_over_tiny_chunks_that_a_cluster_holds_has_very_few_tasks():
    X = in_tiny_chunks()
    alone = bits(X)
    with in_threads(2), recording() as graphs:
        assert bits(X.persist()) == alone
    assert len(graphs) >= 3
    assert max(map(len, graphs)) <= 12


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.slow
def test_a_persisted_frame_counts_its_rows_first_and_is_then_read_as_an_array_is(
    in_place, monkeypatch
):
    X = in_tiny_chunks(300)
    model = GaussianMixture(2, max_iter=2, tol=0, random_state=0)
    alone, asked, plain = model.fit(X)._moments.sums, [], Client.get

    def get(client, graph, *arguments, **options):
        asked.append(len(graph))
        return plain(client, graph, *arguments, **options)

    if not in_place:  # as where chunks are on a worker's disk, or not computed yet
        monkeypatch.setattr(counting, "_rows_in_memory", lambda *_, **__: {})
    with in_threads(2):
        frame = dd.from_dask_array(X, columns=list("abcd")).persist()
        wait(frame)
        monkeypatch.setattr(Client, "get", get)
        assert_array_equal(model.fit(frame)._moments.sums, alone)
    tasks_a_chunk = [found for found in asked if found > 300]
    assert len(tasks_a_chunk) == (0 if in_place else 1)


@pytest.mark.slow
def test_tiny_chunks_that_are_drawn_on_a_cluster_are_drawn_by_few_tasks():
    X = in_tiny_chunks(300).map_blocks(np.negative)
    with in_threads(2) as client:

        def count(state):
            seen.append(client.run_on_scheduler(_tasks_named, "gmm-init-decoded"))

        seen = []
        found = bits(X, cache="memory", callbacks=[count])
    assert 0 < max(seen) <= FEWEST_TASKS
    assert found == bits(X)


def _tasks_named(name, dask_scheduler):
    return sum(str(key).startswith(name) for key in dask_scheduler.tasks)


@pytest.mark.slow
def test_on_a_cluster_bits_stay_and_passes_send_little_and_nothing_is_left(client, expected):
    for kind, X in kinds_of_input().items():
        with recording() as graphs:
            assert bits(X) == expected, kind
        assert len(graphs) >= 3
        assert max(map(len, graphs)) <= FEWEST_TASKS * 1.1 + 2
        assert max(len(cloudpickle.dumps(graph)) for graph in graphs) < 100_000
    del X
    assert_forgotten(client)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["drawn anew", "persisted", "sharing"])
def test_a_worker_killed_between_passes_takes_no_held_rows_along(kind, expected):
    with running(n_workers=2) as client:
        X, killed = kinds_of_input()[kind], []

        def kill_one(state):
            if state.iteration == 2:
                holding = client.run(lambda dask_worker: (len(dask_worker.data), os.getpid()))
                held, pid = max(holding.values())
                assert held > 10
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

        assert bits(X, callbacks=[kill_one]) == expected
        assert len(killed) == 1
        del X
        assert_forgotten(client)


@pytest.mark.slow
def test_nothing_is_left_of_a_fit_that_fails_halfway(client):
    def stop(state):
        raise KeyboardInterrupt

    X = in_tiny_chunks()
    try:
        GaussianMixture(3, random_state=0, callbacks=[stop]).fit(X)
    except KeyboardInterrupt:
        stopped = True
    assert stopped
    assert_forgotten(client)


@pytest.mark.slow
def test_frames_whose_partitions_nobody_counted_are_held_too(client):
    frame = dd.from_dask_array(in_tiny_chunks(300), columns=list("abcd"))
    with dask.config.set(scheduler="synchronous"):
        alone = bits(frame)
    assert bits(frame.persist()) == alone
