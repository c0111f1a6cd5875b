"""Messages that a pass on a cluster waits for: few, as each takes as long as a short pass."""

import operator
import pickle
from collections import Counter

import dask.array as da
import numpy as np
import pytest
from dask.core import flatten
from distributed import get_worker, wait

from daskgmm import GaussianMixture
from daskgmm.data.containers.dask import from_dask_array
from daskgmm.data.source import Source
from daskgmm.model.expectation import Expectation
from daskgmm.model.frame import Frame
from daskgmm.passes.engine.graph import REPEATED_BYTES, run_pass
from daskgmm.passes.engine.keys import Phase
from daskgmm.passes.engine.work import Work, each_part
from daskgmm.passes.expectation import _Sent
from tests.support.clusters import in_threads, recording


def begin(argument):
    return each_part(lambda position, *_: float(argument[position]), operator.add)


class NoRows:
    label, inputs = "no rows", ()

    def read(self):
        return iter(())


@pytest.mark.parametrize(
    ("size", "more"), [(40, set()), (REPEATED_BYTES // 8, {"gmm-pass-parameters"})]
)
def test_large_arguments_are_sent_once_a_worker(size, more):
    x = np.random.default_rng(0).normal(size=size)
    source = Source((NoRows(),) * 40, 1, np.dtype(np.float64))
    work = Work(begin, operator.add, x, 0)
    groups = [range(i, i + 1) for i in range(8)]
    alone = run_pass(source, groups, work, Phase.PASS)
    with in_threads(2), recording() as graphs:
        assert run_pass(source, groups, work, Phase.PASS) == alone
    (graph,) = graphs
    names = [key if isinstance(key, str) else key[0] for key in graph]
    assert {name[: name.rindex("-")] for name in names} == {"gmm-pass", "gmm-reduce"} | more


def where(argument):
    del argument
    return each_part(lambda *_: [get_worker().address], operator.add)


def test_the_worker_that_has_a_large_argument_does_no_more_than_its_share():
    with in_threads(2):
        rows = da.random.default_rng(0).normal(size=(40 * 1500, 100), chunks=(1500, 100)).persist()
        wait(rows)  # of each worker, half of the chunks
        work = Work(where, operator.add, np.zeros(5_000_000))
        groups = [range(i, i + 1) for i in range(40)]
        found = run_pass(from_dask_array(rows), groups, work, Phase.PASS)
    assert len(found) == 40
    assert max(Counter(found).values()) <= 30


def test_what_tasks_bring_to_a_process_by_one_name_is_unpacked_there_once():
    frame = Frame(np.zeros(2), np.ones(2))
    sent, other = (_Sent(Expectation((), frame, np.dtype(float))) for _ in range(2))
    one, two, three = (pickle.loads(pickle.dumps(each)) for each in (sent, sent, other))  # noqa: S301  our own
    assert one is two
    assert one.expectation is two.expectation
    assert one is not three
    assert pickle.loads(pickle.dumps(two)) is one  # noqa: S301  from worker to worker


@pytest.mark.slow
@pytest.mark.parametrize("gathered", [2**28, 0])
def test_persisted_chunks_are_not_sent_again(gathered, monkeypatch):
    monkeypatch.setattr("daskgmm.passes.engine.gathering._GATHERED_BYTES", gathered)
    rows = np.random.default_rng(0).normal(size=(4000, 2))
    with in_threads() as client:
        X = da.from_array(rows, chunks=(100, 2)).persist()
        sent, get = [], client.get

        def noted(graph, *arguments, **options):
            sent.append(graph)
            return get(graph, *arguments, **options)

        monkeypatch.setattr(client, "get", noted)
        GaussianMixture(1).fit(X)
    assert len(sent) > 2
    chunks = set(flatten(X.__dask_keys__()))
    assert len(chunks) == 40
    assert not any(chunks & set(graph) for graph in sent)
