import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from daskgmm import GaussianMixture, GaussianMixtureSelector
from daskgmm.errors import DataError
from daskgmm.monitoring import default_observers
from daskgmm.monitoring.events import TOPIC
from tests.support.clusters import in_threads
from tests.support.rows import two_groups

pytestmark = pytest.mark.usefixtures("client")


@pytest.fixture(scope="module")
def client():
    with in_threads(threads_per_worker=2) as client:
        yield client


@pytest.fixture
def told(client):
    """What the scheduler has been told since the test began."""
    before = len(client.get_events(TOPIC))
    return lambda: [event for _, event in client.get_events(TOPIC)[before:]]


@pytest.mark.slow
def test_a_fit_tells_its_start_each_pass_and_its_end_in_order(told):
    model = GaussianMixture(2, random_state=0, subsample=None, tol=1e-9, max_iter=50).fit(
        two_groups()
    )
    start, *between, end = told()
    passes = [event for event in between if event["event"] == "pass"]
    assert (start["event"], end["event"]) == ("fit-start", "fit-end")
    assert [event["event"] for event in between[-len(passes) :]] == ["pass"] * len(passes)
    assert {event["run_id"] for event in (start, *passes, end)} == {start["run_id"]}
    assert [event["iteration"] for event in passes] == list(range(1, model.n_iter_ + 1))
    assert [event["lower_bound"] for event in passes] == model.lower_bounds_
    assert (start["rows"], start["n_features"]) == (2_000, 3)
    assert end["stopped"] == ("converged" if model.converged_ else "max_iter")
    assert passes[-1]["passes"] == model.n_passes_
    np.testing.assert_allclose(passes[-1]["weights"], model.weights_)
    np.testing.assert_allclose(passes[-1]["means"], model.means_)
    variances = np.array([np.diag(matrix) for matrix in model.covariances_])
    np.testing.assert_allclose(passes[-1]["deviations"], np.sqrt(variances))


@pytest.mark.slow
def test_the_search_for_starts_says_how_far_it_is_before_the_first_pass(told):
    model = GaussianMixture(6, n_init=2, random_state=0, subsample=1_000).fit(two_groups())
    events = told()
    searched = [event for event in events if event["event"] == "starts"]
    assert events[1 : 1 + len(searched)] == searched
    assert {event["run_id"] for event in searched} == {events[0]["run_id"]}
    assert {event["client"] for event in searched} == {events[0]["client"]}
    done = [event["done"] for event in searched]
    assert (done[0], done) == (0, sorted(done))
    assert [event["phase"] for event in searched if event["phase"] == "clustering"]
    assert all(event["share"] <= 1 and event["rows"] <= 1_000 for event in searched)
    last = searched[-1]
    assert (last["phase"], last["done"], last["moves_tried"], last["moves_taken"]) == (
        "found", last["of"], model.refinement_["tried"], model.refinement_["taken"],
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_each_candidate_reports_a_search_of_its_own(told):
    GaussianMixtureSelector((1, 2), random_state=0).fit(two_groups())
    ends = [event for event in told() if event.get("phase") == "found"]
    assert sorted(event["candidate"] for event in ends) == [0, 1]


@pytest.mark.slow
def test_a_fit_goes_on_where_its_workers_can_log_nothing(client, told, monkeypatch):
    from distributed import Worker

    def refuse(*_):
        raise RuntimeError("no")

    expected = GaussianMixture(2, random_state=0, refine="none").fit(two_groups())
    before = len(told())
    monkeypatch.setattr(Worker, "log_event", refuse)
    model = GaussianMixture(2, random_state=0, refine="none").fit(two_groups())
    assert not any(event["event"] == "starts" for event in told()[before:])
    assert (model.means_ == expected.means_).all()


def test_a_fit_that_fails_says_so(told):
    with pytest.raises(DataError):
        GaussianMixture(2).fit(np.full((50, 2), np.nan))
    assert [event["event"] for event in told()] == ["fit-start", "fit-end"]
    assert told()[-1]["stopped"] == "failed"
    assert "NaN" in told()[-1]["message"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_fits_are_told_apart_by_run(told):
    GaussianMixture(2, random_state=0, refine="none").fit(two_groups())
    GaussianMixtureSelector((1, 2), random_state=0).fit(two_groups())
    starts = [event for event in told() if event["event"] == "fit-start"]
    assert len({event["run_id"] for event in starts}) == 2
    assert list(starts[1]["n_components"]) == [1, 2]


@pytest.mark.slow
def test_a_fit_that_a_callback_makes_is_a_run_of_its_own(told):
    def another(state):
        if state.iteration == 1:
            GaussianMixture(1, random_state=0).fit(two_groups())

    GaussianMixture(2, random_state=0, refine="none", callbacks=[another]).fit(two_groups())
    told_of = [(event["event"], event["run_id"]) for event in told() if event["event"] != "starts"]
    assert len(set(told_of)) == 6
    assert len([event for event, _ in told_of if event == "fit-end"]) == 2


def test_tasks_of_a_fit_have_its_run_in_their_keys_and_keep_their_prefixes(client, told):
    from distributed.diagnostics.plugin import SchedulerPlugin

    class Keys(SchedulerPlugin):
        name = "keys"

        def __init__(self):
            self.seen = set()

        def transition(self, key, start, finish, *args, **kwargs):
            self.seen.add(key[0] if isinstance(key, tuple) else key)

    scheduler = client.cluster.scheduler
    scheduler.add_plugin(plugin := Keys())
    try:
        GaussianMixture(2, random_state=0, refine="none").fit(two_groups())
    finally:
        scheduler.remove_plugin(plugin.name)
    run_id = told()[0]["run_id"]
    passes = [key for key in plugin.seen if key.startswith("gmm-pass")]
    assert passes
    assert all(run_id[:8] in key for key in passes)
    ours = {prefix for prefix in scheduler.task_prefixes if prefix.startswith("gmm")}
    assert "gmm-pass" in ours
    assert all(not any(letter.isdigit() for letter in prefix) for prefix in ours)


class Broken:
    def __init__(self, at):
        self.at = at

    def start(self, about):
        self._break("start")

    def tell(self, made):
        self._break("tell")

    def end(self, ending):
        self._break("end")

    def _break(self, where):
        if where == self.at:
            raise RuntimeError(f"broken at {where}")


@pytest.mark.parametrize("at", ["start", "tell", "end"])
def test_no_observer_can_fail_a_fit(caplog, at):
    plain = GaussianMixture(2, random_state=0, refine="none").fit(two_groups())
    watched = GaussianMixture(2, random_state=0, refine="none", callbacks=[Broken(at)]).fit(
        two_groups()
    )
    np.testing.assert_array_equal(plain.means_, watched.means_)
    assert caplog.text.count(f"broken at {at}") == 1


def test_nobody_who_could_not_even_be_made_an_observer_fails_a_fit(monkeypatch, caplog):
    def fail():
        raise AttributeError("moved")

    monkeypatch.setattr("daskgmm.monitoring.notebook.observer", fail)
    assert GaussianMixture(2, random_state=0, refine="none").fit(two_groups()).converged_
    assert caplog.text.count("moved") == 1


@pytest.mark.slow
def test_one_module_and_one_line_in_the_registry_make_an_observer_of_every_fit(monkeypatch):
    calls = []

    class Recorder:
        def start(self, about):
            calls.append("start")

        def tell(self, made):
            calls.append("pass")

        def end(self, ending):
            calls.append("end")

    module = SimpleNamespace(observer=Recorder)
    monkeypatch.setitem(sys.modules, "another_observer", module)
    registry = (*default_observers.DEFAULT_OBSERVERS, "another_observer")
    monkeypatch.setattr(default_observers, "DEFAULT_OBSERVERS", registry)
    model = GaussianMixture(2, random_state=0).fit(two_groups())
    assert calls == ["start", *["pass"] * model.n_iter_, "end"]


def test_a_scheduler_that_takes_no_events_does_not_fail_a_fit(client, monkeypatch, caplog):
    def refuse(*args, **kwargs):
        raise OSError("no events here")

    monkeypatch.setattr(type(client), "log_event", refuse)
    assert GaussianMixture(2, random_state=0, refine="none").fit(two_groups()).converged_
    assert caplog.text.count("no events here") == 1


SILENT = """
import threading
import numpy as np
from distributed import Client, LocalCluster
from daskgmm import GaussianMixture
from daskgmm.monitoring import events

events._PATIENCE_SECONDS = 0.1
with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster:
    with Client(cluster) as client:
        Client.log_event = lambda *_: threading.Event().wait()
        X = np.random.default_rng(0).normal(size=(500, 2))
        print(GaussianMixture(1, random_state=0).fit(X).converged_)
"""


@pytest.mark.slow
def test_a_scheduler_that_never_takes_an_event_does_not_keep_the_process_alive():
    done = subprocess.run(
        [sys.executable, "-c", SILENT], capture_output=True, text=True, timeout=200, check=True
    )
    assert done.stdout == "True\n"
    assert done.stderr.count("EventObserver failed") == 1


def test_an_observer_that_failed_is_told_the_end_to_let_go_of_what_it_holds(caplog):
    class Holding(Broken):
        ends = 0

        def end(self, ending):
            self.ends += 1
            raise RuntimeError("not told of")

    observer = Holding("tell")
    GaussianMixture(2, random_state=0, refine="none", callbacks=[observer]).fit(two_groups())
    assert observer.ends == 1
    assert "not told of" not in caplog.text


def test_events_show_no_credentials_of_an_address_that_failed(told):
    def fail(_state):
        raise OSError("https://me:hunter2@host/rows.csv?X-Amz-Signature=0123 is gone")

    with pytest.raises(OSError, match="hunter2"):
        GaussianMixture(2, random_state=0, refine="none", callbacks=[fail]).fit(two_groups())
    assert told()[-1]["message"] == "https://me:***@host/rows.csv?*** is gone"
