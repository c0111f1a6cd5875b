"""Graphs of passes: groups, trees, keys."""

import functools
import math
import operator
import subprocess
import sys
import threading
import time

import dask
import dask.array as da
import numpy as np
import pytest
from dask.core import flatten
from dask.utils import key_split
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture
from daskgmm.data.containers.arrays import from_numpy
from daskgmm.data.containers.chunks import DeclaredColumns
from daskgmm.data.containers.dask import ChunkPart, from_dask_array
from daskgmm.data.containers.task_spec import DataNode, Task
from daskgmm.data.source import Block, Source
from daskgmm.errors import ClusterError
from daskgmm.passes.cost import estimated_seconds_a_row
from daskgmm.passes.engine.execution import compute
from daskgmm.passes.engine.graph import FAN_IN, Shared, pass_graph, run_pass
from daskgmm.passes.engine.grouping import (
    MOST_TASKS,
    MOST_TASKS_UNMEASURED,
    group_measured,
    group_unmeasured,
)
from daskgmm.passes.engine.keys import Phase, shared_key
from daskgmm.passes.engine.leaves import HeldGroup, Leaf, Stretch
from daskgmm.passes.engine.work import Work, each_part


class CountedPart:
    """A part that only knows its position."""

    inputs = ()

    def __init__(self, position):
        self.position = position

    @property
    def label(self):
        return f"part {self.position}"

    def read(self):
        yield self.position


def positions(argument):
    def on_part(position, part, blocks):
        (read,) = blocks
        assert read == position == part.position
        return [position + argument]

    return each_part(on_part, operator.add)


def tree_over(n_parts, groups, argument=0):
    source = Source(tuple(map(CountedPart, range(n_parts))), 1, np.dtype(np.float64))
    work = Work(positions, operator.add, argument)
    return pass_graph(source, groups, work, "gmm-pass", "0123456789abcdef" * 2)


# --- groups


def assert_covers_in_order(groups, n_parts):
    assert list(flatten([list(group) for group in groups])) == list(range(n_parts))
    assert all(len(group) > 0 for group in groups)


@pytest.mark.slow
@given(
    st.lists(st.integers(0, 10**7), min_size=1, max_size=200),
    st.floats(1e-9, 1e-3),
)
def test_measured_groups_cover_all_parts_in_order(lengths, cost):
    groups = group_measured(lengths, cost)
    assert_covers_in_order(groups, len(lengths))
    assert len(groups) <= min(len(lengths), MOST_TASKS)
    # No group takes much more than its share but for parts that are larger than that alone.
    share = sum(lengths) / len(groups)
    for group in groups:
        taken = sum(lengths[i] for i in group)
        assert taken <= 2 * max(share, sum(lengths) * cost and 0.1 / cost) + 2 * max(lengths)


@given(st.integers(1, 5000))
def test_unmeasured_groups_cover_all_parts_in_order_and_evenly(n_parts):
    groups = group_unmeasured(n_parts)
    assert_covers_in_order(groups, n_parts)
    sizes = [len(group) for group in groups]
    assert max(sizes) - min(sizes) <= 1
    assert len(groups) == min(n_parts, MOST_TASKS_UNMEASURED)


def test_cost_grows_with_everything_that_is_multiplied():
    base = estimated_seconds_a_row(10, 66, 10)
    assert estimated_seconds_a_row(20, 66, 10) > base
    assert estimated_seconds_a_row(10, 660, 10) > base
    assert estimated_seconds_a_row(10, 66, 100) > 5 * base


@pytest.mark.slow
def test_two_thousand_tiny_partitions_are_a_few_tasks():
    X = da.random.default_rng(0).normal(size=(2000 * 30, 2), chunks=(30, 2))
    seen = []
    plain = compute

    def counting(graph, keys, phase, *more):
        seen.append(len(graph))
        return plain(graph, keys, phase, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daskgmm.passes.engine.graph.compute", counting)
        patch.setattr("daskgmm.passes.engine.held.compute", counting)
        GaussianMixture(2, random_state=0, max_iter=2, tol=1e9).fit(X)
    survey, *ends = seen[:3]
    passes = seen[3:]
    assert survey < 200
    assert ends == [2, 2]
    assert passes
    assert max(passes) < 200


# --- trees


@pytest.mark.parametrize("n_parts", [1, 2, 15, 16, 17, 255, 256, 257, 1000])
@pytest.mark.parametrize("a_group", [1, 7])
def test_the_tree_adds_each_part_once_and_in_order(n_parts, a_group):
    groups = [range(i, min(i + a_group, n_parts)) for i in range(0, n_parts, a_group)]
    graph, root = tree_over(n_parts, groups, argument=10)
    found = dask.get(graph, root)
    assert found == [10 + i for i in range(n_parts)]
    arity = [len(task.dependencies) for task in graph.values()]
    assert max(arity) <= FAN_IN
    leaves = len(groups)
    assert len(graph) <= 1 + leaves + 2 + leaves / (FAN_IN - 1) + np.log(leaves + 1)


@pytest.mark.parametrize("n_parts", [17, 100, 256, 300])
def test_a_task_of_joined_groups_adds_as_the_tree_does(n_parts):
    x = 10.0 ** np.random.default_rng(0).integers(-9, 9, n_parts)
    source = Source(tuple(map(CountedPart, range(n_parts))), 1, np.dtype(np.float64))
    begin = each_part(lambda position, *_: x[position], operator.add)
    work = Work(lambda _: begin, operator.add, None)
    groups = [range(i, i + 1) for i in range(n_parts)]
    joined = []
    for first in range(0, n_parts, FAN_IN):
        stop = min(first + FAN_IN, n_parts)
        each = tuple((Stretch((source.parts[i],), i),) for i in range(first, stop))
        joined.append(HeldGroup(first, stop, (Leaf(first, stop, each),), stop - first))
    one, two, three = (
        pass_graph(source, own, work, "a", "b")
        for own in (groups, joined, [*groups[:FAN_IN], *joined[1:]])
    )
    assert len(two[0]) <= 4 + n_parts / (FAN_IN - 1)
    assert dask.get(*one) == dask.get(*two) == dask.get(*three)


@pytest.mark.parametrize(("n_bytes", "most"), [(2**20, 16), (2**24, 4), (2**30, 2)])
def test_a_task_adds_up_fewer_results_the_larger_they_are(n_bytes, most):
    source = Source(tuple(map(CountedPart, range(100))), 1, np.dtype(np.float64))
    work = Work(positions, operator.add, 10, n_bytes)
    graph, root = pass_graph(source, [range(i, i + 1) for i in range(100)], work, "a", "b")
    assert dask.get(graph, root) == [10 + i for i in range(100)]
    adding = [task for key, task in graph.items() if key[0] == "gmm-reduce-b"]
    assert max(len(task.dependencies) for task in adding) == most


def test_tasks_of_a_group_are_added_up_in_order_whatever_their_size():
    # As one task that reads all parts of the group does: to the bit.
    x = np.random.default_rng(0).normal(size=64)
    source = Source(
        tuple(ChunkPart(i, DeclaredColumns(1), (f"x{i}",)) for i in range(64)),
        1,
        np.dtype(np.float64),
        graph={f"x{i}": DataNode(f"x{i}", np.full((1, 1), x[i])) for i in range(64)},
    )

    def begin(argument):
        return each_part(
            lambda _, __, blocks: sum(float(block.rows.sum()) for block in blocks), operator.add
        )

    for n_bytes in (1, 2**24, 2**30):
        graph, root = pass_graph(
            source, [range(64)], Work(begin, operator.add, None, n_bytes), "a", "b"
        )
        assert sum(key[0] == "a-b" for key in graph) == 64
        assert dask.get(graph, root) == functools.reduce(operator.add, x.tolist())


@pytest.mark.parametrize(("result_bytes", "most"), [(0, 2), (2**22, 8), (2**30, 20)])
def test_adjacent_parts_make_one_result_whether_read_or_computed_by_dask(result_bytes, most):
    """Their rows take no more than the result, or 1 MiB: parts here have half of one."""
    x, taken = 10.0 ** np.random.default_rng(0).integers(-9, 9, 100), []

    def begin(argument):
        def on_stretch(parts):
            found = [float(block.rows.sum()) for _, _, blocks in parts for block in blocks]
            taken.append(len(found))
            return math.fsum(found)

        return on_stretch

    class Held:
        label, inputs = "held", ()

        def __init__(self, value):
            self.value = value

        def read(self):
            yield Block(np.full((1, 1), self.value))

    whole = {"n_features": 1, "dtype": np.dtype(np.float64), "lengths": (2**16,) * 100}
    read = Source(tuple(map(Held, x)), **whole)
    computed = Source(
        tuple(ChunkPart(i, DeclaredColumns(1), (f"x{i}",)) for i in range(100)),
        graph={f"x{i}": DataNode(f"x{i}", np.full((1, 1), x[i])) for i in range(100)},
        **whole,
    )
    groups = [range(i, i + 20) for i in range(0, 100, 20)]
    work = Work(begin, operator.add, None, result_bytes)
    one, other = (dask.get(*pass_graph(own, groups, work, "a", "b")) for own in (read, computed))
    assert one == other
    assert max(taken) == most
    assert len(taken) == 2 * 5 * -(-20 // most)


@pytest.mark.parametrize("n_bytes", [1, 2**30])
def test_what_is_added_in_place_leaves_the_results_of_other_tasks_alone(n_bytes):
    source = Source(tuple(map(CountedPart, range(40))), 1, np.dtype(np.float64))
    work = Work(positions, operator.add, 0, n_bytes, operator.iadd)
    groups = [range(i, min(i + 3, 40)) for i in range(0, 40, 3)]
    graph, root = pass_graph(source, groups, work, "a", "b")
    leaves = [key for key in graph if key[0] == "a-b"]
    whole, *parts = dask.get(graph, [root, *leaves])
    assert whole == list(range(40))
    assert parts == [list(group) for group in groups]


@pytest.mark.slow
def test_every_number_of_parts_up_to_a_thousand_has_a_tree():
    for n_parts in range(1, 1001, 37):
        graph, root = tree_over(n_parts, [range(i, i + 1) for i in range(n_parts)])
        assert len(dask.get(graph, root)) == n_parts


def test_the_argument_is_one_node_that_every_leaf_refers_to():
    big = np.zeros(1000)
    graph, _ = tree_over(40, [range(i, i + 2) for i in range(0, 40, 2)], big)
    holders = [key for key, node in graph.items() if _holds(node, big)]
    assert holders == ["gmm-pass-parameters-" + "0123456789abcdef" * 2]
    leaves = [task for key, task in graph.items() if key[0].startswith("gmm-pass-0")]
    assert len(leaves) == 20
    assert all(holders[0] in task.dependencies for task in leaves)


def _holds(node, value):
    members = [getattr(node, "value", None), *getattr(node, "args", ())]
    return any(isinstance(one, Shared) and one.value is value for one in members)


@pytest.mark.parametrize("prefix", ["gmm-init", "gmm-pass", "gmm-predict"])
def test_dask_counts_what_tasks_share_with_no_task_that_takes_time(prefix):
    suffix = "994cadb1-" + "0123456789abcdef" * 2
    assert key_split((f"{prefix}-{suffix}", 3)) == prefix
    assert key_split(shared_key(prefix, suffix)) == f"{prefix}-parameters"


@pytest.mark.slow
def test_keys_have_the_same_prefix_in_every_pass():
    graphs = []
    plain = compute

    def keeping(graph, keys, phase, *more):
        graphs.append(graph)
        return plain(graph, keys, phase, *more)

    rows = np.random.default_rng(0).normal(size=(40_000, 30))
    with pytest.MonkeyPatch.context() as patch:
        for module in ("graph", "held"):
            patch.setattr(f"daskgmm.passes.engine.{module}.compute", keeping)
        model = GaussianMixture(8, random_state=0, max_iter=3, tol=1e9).fit(rows)
        model.score(rows)
    names = [{key_split(key) for key in graph} for graph in graphs]
    first, passes, score = names[:3], names[3:-1], names[-1]
    assert all(name.startswith(("gmm-init", "gmm-reduce")) for one in first for name in one)
    for one in passes:
        assert one == passes[0]
        assert all(name.startswith(("gmm-pass", "gmm-reduce")) for name in one)
    assert all(name.startswith(("gmm-predict", "gmm-reduce")) for name in score)
    keys = [set(graph) for graph in graphs]
    assert not set.intersection(*keys)  # fresh keys each time: two fits never share any


@pytest.mark.slow
def test_lazy_predictions_have_the_prefix_too():
    rows = np.random.default_rng(0).normal(size=(100, 2))
    model = GaussianMixture(2, random_state=0).fit(rows)
    lazy = model.predict_proba(da.from_array(rows, chunks=(20, 2)))
    assert {key_split(key) for key in flatten(lazy.__dask_keys__())} == {"gmm-predict"}
    prefixes = {key_split(key) for key in dict(lazy.__dask_graph__())}
    assert all(name.startswith("gmm-predict") for name in prefixes)


# --- parts of dask arrays


def test_independent_chunks_are_read_inside_the_group_and_others_get_their_own_tasks():
    X = da.random.default_rng(0).normal(size=(100, 2), chunks=(10, 2))
    source = from_dask_array(X)
    assert not source.graph
    assert all(not part.inputs for part in source.parts)
    shared = X - X.mean(axis=0)
    source = from_dask_array(shared)
    assert all(len(part.inputs) == 1 for part in source.parts)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_sums_are_the_same_bits_in_either_case(shared):
    rows = np.random.default_rng(0).normal(size=(5000, 3))
    X = da.from_array(rows, chunks=((10, 990, 1, 0, 3999), 3))
    if shared:
        one = da.from_delayed(dask.delayed(lambda: 0.0)(), shape=(), dtype=float)
        X = X + one  # every chunk waits for the same task
    assert bool(from_dask_array(X).graph) is shared
    found = GaussianMixture(3, random_state=0).fit(X)
    plain = GaussianMixture(3, random_state=0).fit(da.from_array(rows, chunks=X.chunks))
    assert_array_equal(found.means_, plain.means_)
    assert found.lower_bounds_ == plain.lower_bounds_


@pytest.mark.slow
def test_column_chunks_are_joined_with_a_word_about_it(caplog):
    rows = np.random.default_rng(0).normal(size=(200, 4))
    found = GaussianMixture(2, random_state=0).fit(da.from_array(rows, chunks=(50, 2)))
    assert "2 column chunks" in caplog.text
    plain = GaussianMixture(2, random_state=0).fit(rows)
    assert_allclose(found.means_, plain.means_, rtol=1e-10)


# --- where graphs run


@pytest.mark.slow
def test_a_scheduler_set_in_the_configuration_is_used():
    used = []

    def scheduler(graph, keys, **options):
        used.append(len(graph))
        return dask.get(graph, keys)

    rows = np.random.default_rng(0).normal(size=(200, 2))
    with dask.config.set(scheduler=scheduler):
        model = GaussianMixture(2, random_state=0).fit(rows)
    assert len(used) == model.n_passes_ + 2  # what the survey found, and the starts


def test_errors_of_a_part_reach_the_caller_as_they_are():
    class Broken(CountedPart):
        def read(self):
            raise OSError("disk on fire")

    source = Source((Broken(0),), 1, np.dtype(np.float64))
    graph, root = pass_graph(
        source, [range(1)], Work(positions, operator.add, 0), "gmm-pass", "a" * 32
    )
    with pytest.raises(OSError, match="disk on fire"):
        compute(graph, root, Phase.PASS)


def test_arrays_in_memory_are_cut_by_their_shape_alone():
    source = from_numpy(np.zeros((1_000_000, 3)))
    assert source.lengths == tuple(part.rows.shape[1] for part in source.parts)
    assert len(source.parts) == 4


def test_equal_parts_make_as_many_groups_as_their_cost_is_worth():
    for n_parts, seconds_a_part, expected in [
        (1000, 0.02, 200), (1000, 1.0, 1000), (1000, 0.0, 128), (10, 0.001, 10),
    ]:  # fmt: skip
        groups = group_measured([100] * n_parts, seconds_a_part / 100)
        assert abs(len(groups) - expected) <= 1


BLAS = """
from threadpoolctl import threadpool_info, threadpool_limits
from daskgmm.passes.engine.blas import one_thread

def threads():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

with threadpool_limits(2, user_api="blas"):
    before = threads()
    with one_thread():
        with one_thread():
            assert threads() == {1}, threads()
        assert threads() == {1}, threads()
    assert threads() == before, threads()
"""


@pytest.mark.slow
def test_blas_has_one_thread_inside_and_its_own_again_when_the_last_one_leaves():
    # In a process of its own: the limit is the process's, and a task that another test gave up
    # may still be inside here.
    done = subprocess.run([sys.executable, "-c", BLAS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_task_has_rows_enough_for_its_sums(in_memory):
    found = group_measured([1000] * 64, 1e-3, fewest_rows=16_000, in_memory=in_memory)
    assert list(map(len, found)) == [16] * 4


@pytest.mark.parametrize("parts", [1, 3, 31, 61, 64])
def test_parts_of_rows_in_memory_are_all_in_a_task(parts):
    """Also where no even number of them makes about as many tasks as are wanted."""
    for fewest_rows in (1, 1500, 2000, 16_000, 10**6):
        groups = group_measured([1000] * parts, 1e-3, fewest_rows=fewest_rows, in_memory=True)
        assert_covers_in_order(groups, parts)
        assert len(groups) <= max(2 * parts * 1000 // fewest_rows, 1)


def test_rows_in_memory_make_tasks_enough_for_many_cores():
    source = from_numpy(np.zeros((1_000_000, 10)))
    cost = estimated_seconds_a_row(10, 66, 10)
    groups = group_measured(source.lengths, cost, in_memory=True)
    assert len(groups) >= 16
    assert_covers_in_order(groups, len(source.parts))
    tiny = group_measured((10_000,), cost, in_memory=True)
    assert len(tiny) == 1


@pytest.mark.parametrize(("parts", "tasks"), [(12, 7), (16, 6), (16, 12), (20, 13), (4, 2)])
def test_tasks_of_rows_in_memory_have_as_many_parts_each(parts, tasks):
    """Else one of two threads waits for the other."""
    groups = group_measured([1000] * parts, tasks * 0.004 / (parts * 1000), in_memory=True)
    assert len(set(map(len, groups))) == 1
    assert len(groups) % 2 == 0
    assert tasks <= len(groups) <= 2 * tasks


def test_no_task_is_running_when_its_neighbours_error_is_told():
    started, done = threading.Event(), []

    def write():
        started.set()
        time.sleep(0.2)
        done.append("written")

    def fail():
        started.wait()
        raise ValueError("flawed")

    tasks = {name: Task(name, action) for name, action in (("write", write), ("fail", fail))}
    more = {f"{n}": Task(f"{n}", int) for n in range(10)}  # or one thread would do
    with pytest.raises(ValueError, match="flawed"):
        compute({**tasks, **more}, ["write", "fail"], Phase.PASS)
    assert done == ["written"]


def test_a_pass_counts_each_block_once_where_storage_fails_in_the_middle_of_a_part(monkeypatch):
    monkeypatch.setattr("daskgmm.data.storage.retry.PAUSES", (0.0,))
    left, computed = [2], []

    class Unsteady(CountedPart):
        def read(self):
            for number in range(3):
                if left and left[-1] == number:
                    left.pop()
                    raise ClusterError("The store is busy.")
                yield Block(np.full((1, 1), float(number)))

    def begin(argument):
        def on_part(position, part, blocks):
            computed.append(position)
            return sum(float(block.rows.sum()) for block in blocks)

        return each_part(on_part, operator.add)

    source = Source((Unsteady(0), Unsteady(1)), 1, np.dtype(np.float64))
    work = Work(begin, operator.add, None)
    assert run_pass(source, [range(2)], work, Phase.PASS) == 6.0
    assert computed == [0, 1]
