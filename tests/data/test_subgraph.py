"""Pieces of Dask graphs, evaluated without a scheduler: the values that Dask itself finds."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask._task_spec import Alias, DataNode, Task, TaskRef  # noqa: TID251  Alias is Dask's alone
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daskgmm.data.containers.dask import lowered
from daskgmm.data.containers.subgraph import closure, evaluate, shared_tasks


def add(*values):
    return 1 + sum(values)


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=30), st.data())
def test_any_graph_has_the_values_that_dask_finds(needs, data):
    graph = {
        index: Task(index, add, *(TaskRef(one) for one in wanted if one < index))
        for index, wanted in enumerate(needs)
    }
    keys = data.draw(st.lists(st.sampled_from(sorted(graph)), min_size=1))
    piece = {key: graph[key] for key in closure(graph, keys)}
    assert evaluate(piece, keys) == list(dask.get(graph, keys))


def test_values_that_all_chunks_need_hide_what_they_are_made_of():
    rows = da.from_array(np.ones((60, 2)), chunks=(20, 2))
    for X, n_points in [((rows - rows.mean(0)) / rows.std(0), 2), (rows * rows.sum(), 1)]:
        graph, keys = lowered(X)
        points, shared = shared_tasks(graph, [(key,) for key in keys])
        assert len(points) == n_points
        assert not shared


def test_tasks_that_some_chunks_share_are_no_meeting_point():
    rows = da.from_array(np.ones((60, 2)), chunks=(20, 2))
    for X in (rows.rechunk((15, 2)), da.cumsum(rows, axis=0)):
        graph, keys = lowered(X)
        assert shared_tasks(graph, [(key,) for key in keys]) == ([], True)
    graph, keys = lowered(rows)
    assert shared_tasks(graph, [(key,) for key in keys]) == ([], False)


def test_each_task_runs_once_and_values_go_after_their_last_use():
    alive, most, ran = set(), [0], []

    class Value:
        def __init__(self, name):
            alive.add(name)
            self.name = name

        def __del__(self):
            alive.discard(self.name)

    def link(name, *values):
        ran.append(name)
        made = Value(name)
        most[0] = max(most[0], len(alive))
        return made

    graph = {0: Task(0, link, 0)}
    for i in range(1, 50):  # a chain, with each link asked for twice
        graph[i] = Task(i, link, i, TaskRef(i - 1), TaskRef(i - 1))
    (last,) = evaluate(graph, [49])
    assert last.name == 49
    assert ran == list(range(50))
    assert most[0] == 2


def test_aliases_data_and_what_is_given_are_values_too():
    piece = {
        "a": DataNode("a", 3),
        "b": Alias("b", "a"),
        "c": Task("c", add, TaskRef("b"), TaskRef("g")),
    }
    assert evaluate(piece, ["c", "b", "c"], {"g": 10}) == [14, 3, 14]


def test_a_deep_graph_needs_no_deep_stack():
    graph = {0: DataNode(0, 0)} | {i: Task(i, add, TaskRef(i - 1)) for i in range(1, 5000)}
    assert evaluate(graph, [4999]) == [4999]


def collections():
    rows = np.random.default_rng(0).normal(size=(60, 2))
    array = da.from_array(rows, chunks=(13, 2))
    frame = dd.from_pandas(pd.DataFrame(rows, columns=list("ab")), npartitions=3)
    drawn = da.random.default_rng(1).normal(size=(60, 2), chunks=(20, 2))
    return {
        "plain": array,
        "fused": ((array - 1) / 2).map_blocks(np.abs) + 3,
        "random": (drawn - 1) * 2,
        "two sources": (array.rechunk((20, 2)) + drawn) / drawn,
        "sliced": da.exp(array[7:, ::-1]) - 1,
        "frame": frame[["b", "a"]] * 2 + 1,
    }


@pytest.mark.parametrize("name", collections())
def test_chunks_have_the_values_that_dask_finds(name):
    collection = collections()[name]
    graph, keys = lowered(collection)
    found = [evaluate({key: graph[key] for key in closure(graph, [own])}, [own]) for own in keys]
    assert_array_equal(np.concatenate([np.asarray(one) for (one,) in found]), collection.compute())
