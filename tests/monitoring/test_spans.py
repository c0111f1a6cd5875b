"""What Dask's own views show of a fit: spans, prefixes, colours."""

import dask
import dask.array as da
import pytest
from distributed import span
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.diagnostics.progress_stream import color_of
from distributed.utils import key_split

from daskgmm import GaussianMixture
from daskgmm.monitoring.events import TOPIC
from daskgmm.passes.engine.keys import made_for
from tests.support.clusters import in_threads
from tests.support.rows import two_groups

RUN = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def client():
    with in_threads(threads_per_worker=2) as client:
        yield client


@pytest.fixture
def spans(client):
    """The scheduler's, without those of tests before."""
    extension = client.cluster.scheduler.extensions["spans"]
    before = set(extension.spans)
    return lambda: [one for key, one in extension.spans.items() if key not in before]


def model(**more):
    return GaussianMixture(2, random_state=0, subsample=None, tol=0, max_iter=5, **more)


def fit(X, **more):
    with pytest.warns(UserWarning, match="did not converge"):
        return model(**more).fit(X)


def names(found):
    return {one.name for one in found}


@pytest.mark.slow
def test_each_phase_of_a_run_is_one_span_however_many_passes_it_takes(client, spans):
    fitted = fit(da.from_array(two_groups(), chunks=(500, 3)))
    run = [event["run_id"] for _, event in client.get_events(TOPIC)][-1][:8]
    phases = {("daskgmm", run, phase): phase for phase in ("initialisation", "pass")}
    found = {one.name: one for one in spans() if one.name[1:2] == (run,) and len(one.name) == 3}
    assert set(found) == set(phases)
    passes = {group.name for group in found["daskgmm", run, "pass"].groups}
    assert sum(name.startswith("gmm-pass-" + run) for name in passes) == fitted.n_iter_
    assert len(names(spans())) == len([one for one in spans() if one.name != ("default",)])


@pytest.mark.slow
def test_a_run_that_goes_on_has_the_same_spans(client, spans):
    for _ in range(2):
        with made_for(RUN):
            fit(two_groups())
    ours = [one.name for one in spans() if one.name[0] == "daskgmm"]
    assert len(ours) == len(set(ours))
    assert ("daskgmm", RUN[:8], "pass") in ours


def test_outside_of_runs_all_calls_are_one_span_as_schedulers_keep_spans_for_ever(client, spans):
    fitted = fit(two_groups())
    before = len(spans())
    for _ in range(2):
        fitted.score(da.from_array(two_groups(), chunks=(500, 3)))
    after = [one for one in spans()[before:] if one.name != ("default",)]
    assert [one.name for one in after] == [("daskgmm", "prediction")]
    assert {one.parent.name for one in after} == {("daskgmm",)}


@pytest.mark.slow
def test_users_spans_are_around_ours(client, spans):
    for _ in range(2):
        with span("my", "work"), made_for(RUN):
            fit(two_groups())
    assert ("my", "work", "daskgmm", RUN[:8], "pass") in names(spans())
    mine = [one for one in spans() if one.name == ("my", "work")]
    assert [[child.name[-1] for child in one.children] for one in mine] == [["daskgmm"]] * 2


def test_callbacks_see_the_users_annotations_only(client):
    seen = []
    with dask.annotate(priority=3):
        fit(two_groups(), callbacks=[lambda _: seen.append(dask.get_annotations())])
    assert seen == [{"priority": 3}] * 5


@pytest.mark.slow
def test_tasks_of_passes_are_still_queued(client):
    """Chunks of their own make many tasks, of which workers get no more than they can take."""

    class States(SchedulerPlugin):
        name = "states"

        def __init__(self):
            self.queued = set()

        def transition(self, key, start, finish, *args, **kwargs):
            if finish == "queued":
                self.queued.add(key_split(key))

    scheduler = client.cluster.scheduler
    scheduler.add_plugin(plugin := States())
    try:
        fit(da.random.default_rng(0).normal(size=(64_000, 3), chunks=(1_000, 3)))
    finally:
        scheduler.remove_plugin(plugin.name)
    assert plugin.queued, "none of the tasks was a root task"


@pytest.mark.slow
def test_prefixes_and_so_colours_are_the_same_in_each_pass_and_run(client, spans):
    for _ in range(2):
        fit(da.from_array(two_groups(), chunks=(500, 3)))
    groups = [group for one in spans() for group in one.groups]
    prefixes = {group.prefix.name for group in groups}
    assert {"gmm-pass", "gmm-reduce", "gmm-init", "gmm-init-facts"} <= prefixes
    assert not [name for name in prefixes if any(letter.isdigit() for letter in name)]
    passes = [group.name for group in groups if group.name.startswith("gmm-pass-")]
    assert len(passes) == len(set(passes)) == 2 * 5
    assert len({color_of(key_split((name, 0))) for name in passes}) == 1
