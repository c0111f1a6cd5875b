"""The page of fits, on real schedulers and in a real browser."""

import json
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import urlopen

import dask
import psutil
import pytest
from distributed import Client, LocalCluster

from daskgmm import BayesianGaussianMixture, GaussianMixture, GaussianMixtureSelector
from daskgmm.errors import ClusterError, ConfigurationError
from daskgmm.jobs.cluster.dashboard import page_on
from daskgmm.monitoring import install
from daskgmm.monitoring.events import TOPIC
from daskgmm.monitoring.history import MOST_POINTS
from daskgmm.passes.engine.workers import workers_of
from tests.support.browsing import browser, chromium
from tests.support.certificates import made as certificates_in
from tests.support.clusters import in_threads
from tests.support.rows import two_groups

__all__ = ["browser", "chromium"]

CHART = "Bokeh.documents[0].get_model_by_name('lower_bound')"
DRAWN = f"{CHART}.renderers[0].data_source.data.iteration"
CHOICES = "Bokeh.documents[0].get_model_by_name('chooser').options"
SCHEDULER = "from distributed.cli.dask_scheduler import main; main()"


@contextmanager
def cluster_of(workers):
    with (
        LocalCluster(n_workers=workers, threads_per_worker=2, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client():
    with in_threads(threads_per_worker=2) as client:
        yield client


@pytest.fixture
def idle():
    """A cluster that nothing has run on."""
    with cluster_of(0) as client:
        yield client


class Gate:
    """A callback that lets a fit make as many more passes as it is told."""

    def __init__(self):
        self._passes = threading.Semaphore(0)

    def __call__(self, state):
        assert self._passes.acquire(timeout=200)

    def let(self, passes):
        self._passes.release(passes)


def gaussian(gate, passes=12):
    """A fit of a given number of passes."""
    return GaussianMixture(
        3, tol=0, max_iter=passes, subsample=None, random_state=0, callbacks=[gate]
    )


@contextmanager
def fitting(client, estimator, gate):
    """A fit that goes on in the block as far as its gate is opened, and ends with it."""

    def fit():
        with client.as_current():
            estimator.fit(two_groups())

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(fit)
        try:
            yield going
        finally:
            gate.let(1_000)
            going.result(60)


def starts(client):
    return [event for _, event in client.get_events(TOPIC) if event["event"] == "fit-start"]


def get(url, **options):
    with urlopen(url, timeout=60, **options) as answer:  # noqa: S310  our own schedulers'
        return answer.read().decode()


def runs_at(url):
    return json.loads(get(f"{url}.json"))["runs"]


def drawn(page, passes):
    page.wait_for_function(f"{DRAWN}.length == {passes}")


pytestmark = pytest.mark.filterwarnings(
    "ignore:Best performing initialization:sklearn.exceptions.ConvergenceWarning"
)


@pytest.mark.slow
def test_a_page_opened_before_a_fit_shows_its_points_move_and_others_join_it(client, browser):
    gate, link = Gate(), install(client)
    before = browser(link)
    before.get_by_text("A fit on this cluster shows up here by itself.").wait_for()
    with fitting(client, gaussian(gate), gate):
        gate.let(2)
        drawn(before, 3)
        before.get_by_text("running", exact=True).wait_for()
        (start,) = starts(client)
        before.get_by_text(f"run {start['run_id'][:8]}").wait_for()
        before.wait_for_function(f"{CHART}.x_range.end < 4")
        gate.let(4)
        drawn(before, 7)
        before.wait_for_function(f"{CHART}.x_range.end > 6")
        during = browser(link)
        drawn(during, 7)
        before.get_by_text("of at most 12").wait_for()
    after = browser(link)
    for page in (before, during, after):
        drawn(page, 12)
        page.get_by_text("stopped at max_iter").wait_for()
        assert page.locator("tr").count() == 1 + 3
    assert "daskgmm" in get(link.replace("/daskgmm", "/status"))


@pytest.mark.slow
def test_components_that_emptied_are_marked(client, browser):
    link, gate = install(client), Gate()
    model = BayesianGaussianMixture(
        n_components=6, weight_concentration_prior=1e-3, mean_precision_prior=100.0, tol=0,
        max_iter=60, subsample=None, refine="none", random_state=0, callbacks=[gate],
    )  # fmt: skip
    with fitting(client, model, gate):
        pass
    page = browser(link)
    page.get_by_text("BayesianGaussianMixture: 6 components, full").wait_for()
    (start,) = (one for one in starts(client) if one["estimator"] == "BayesianGaussianMixture")
    page.get_by_text(f"run {start['run_id'][:8]}").wait_for()
    (run,) = (one for one in runs_at(link) if one["run_id"] == start["run_id"])
    held = 6 - len(run["latest"]["empty"])
    assert 2 <= held < 6
    page.get_by_text(f"{held} of 6 components hold rows.").wait_for()
    assert page.get_by_text(", empty").count() == 6 - held


@pytest.mark.slow
def test_the_json_has_what_the_events_said(client):
    link = install(client)
    GaussianMixture(2, random_state=0, tol=1e-9).fit(two_groups())
    run_id = starts(client)[-1]["run_id"]
    told = [event for _, event in client.get_events(TOPIC) if event["run_id"] == run_id]
    start, *between, end = json.loads(json.dumps(told))
    searched = [event for event in between if event["event"] == "starts"]
    passes = between[len(searched) :]
    run = next(run for run in runs_at(link) if run["run_id"] == run_id)
    assert (run["start"], run["latest"], run["end"]) == (start, passes[-1], end)
    assert run["starts"] == searched[-1:]
    assert (run["state"], run["every"]) == ("converged", 1)
    for kept, event in zip(run["passes"], passes, strict=True):
        assert kept == {name: event[name] for name in kept}
    assert run["totals"]["rows"] == sum(event["rows"] for event in passes)
    assert json.loads(get(f"{link}.json?run={run_id[:8]}"))["runs"] == [run]


@pytest.mark.slow
def test_of_two_fits_at_once_each_can_be_looked_at(client, browser):
    link, one, two = install(client), Gate(), Gate()
    selector = GaussianMixtureSelector(
        (2, 4), tol=0, max_iter=9, subsample=None, random_state=0, callbacks=[two]
    )
    with (
        Client(client.scheduler.address) as another,
        fitting(client, gaussian(one), one),
        fitting(another, selector, two),
    ):
        one.let(2)
        two.let(4)
        page = browser(link)
        running = f"{CHOICES}.filter(([_, label]) => label.startsWith('running'))"
        page.wait_for_function(f"{running}.length == 2")
        newest = starts(client)[-2:]
        shown = {"GaussianMixture": "3 components", "GaussianMixtureSelector": "2 to 4 components"}
        for start in newest:
            name = start["estimator"]
            label = page.evaluate(f"Object.fromEntries({CHOICES})")[start["run_id"]]
            page.locator("select").select_option(label=label)
            page.get_by_text(f"{name}: {shown[name]}, full").wait_for()
            drawn(page, 3 if name == "GaussianMixture" else 5)
        chosen = browser(f"{link}?run={newest[0]['run_id'][:8]}")
        chosen.get_by_text(f"run {newest[0]['run_id'][:8]}").wait_for()


@pytest.mark.slow
def test_the_tasks_of_the_current_pass_are_counted_by_worker(client):
    link, gate = install(client), Gate()
    with fitting(client, gaussian(gate), gate) as going:
        gate.let(1)
        (run,) = (run for run in live(link, going) if run["passes"])
        (address,) = workers_of(client)
        progress = run["progress"]
        assert progress["phase"] == "pass"
        assert progress["done"] == {address: progress["total"]}
    (ended,) = (one for one in runs_at(link) if one["run_id"] == run["run_id"])
    assert ended["progress"] is None


def live(link, going):
    """The run that goes on, once it has been told of two passes."""
    while not going.done():
        runs = [run for run in runs_at(link) if run["state"] == "running"]
        if runs and len(runs[0]["passes"]) == 2:
            return runs
    return going.result()


@pytest.mark.slow
def test_fits_of_before_it_was_there_are_shown():
    with cluster_of(1) as client:
        GaussianMixture(2, random_state=0).fit(two_groups())
        (run,) = runs_at(install(client))
        assert run["state"] == "converged"
        assert len(run["passes"]) == run["end"]["iteration"]


def test_a_fit_whose_process_leaves_is_lost(idle):
    link = install(idle)
    with Client(idle.scheduler.address, set_as_default=False) as other:
        event = {"event": "fit-start", "run_id": "f" * 32, "time": 0.0, "client": other.id}
        other.log_event(TOPIC, event)
        waiting = other.submit(sum, [1], key=("gmm-pass-" + "f" * 8 + "-0", 0))
        other.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        assert runs_at(link)[0]["state"] == "running"
        del waiting
    assert gone(idle, link)["state"] == "lost"


def gone(client, link):
    """The run, once only one client is left."""

    def clients(dask_scheduler):
        return len(dask_scheduler.clients)

    while client.run_on_scheduler(clients) > 2:  # Dask's own one, and this
        pass
    return runs_at(link)[0]


def test_a_fit_whose_process_leaves_before_its_first_pass_is_lost(idle):
    link = install(idle)
    with Client(idle.scheduler.address, set_as_default=False) as other:
        event = {"event": "fit-start", "run_id": "e" * 32, "time": 0.0, "client": other.id}
        other.log_event(TOPIC, event)
        assert runs_at(link)[0]["state"] == "running"
    assert gone(idle, link)["state"] == "lost"


def test_a_fit_whose_process_left_before_the_page_was_there_is_lost(idle):
    with Client(idle.scheduler.address, set_as_default=False) as other:
        event = {"event": "fit-start", "run_id": "d" * 32, "time": 0.0, "client": other.id}
        other.log_event(TOPIC, event)
    assert gone(idle, install(idle))["state"] == "lost"


def test_what_others_log_under_the_same_topic_is_let_pass(idle, caplog):
    link = install(idle)
    caplog.set_level("INFO", "distributed")
    for event in ("hello", {"no": "event"}, {"event": "fit-end"}):
        idle.log_event(TOPIC, event)
    assert runs_at(link) == []
    assert "Plugin failed" not in caplog.text


@pytest.mark.slow
def test_to_install_it_again_does_nothing(idle):
    first = install(idle)
    assert install(idle) == first

    def applications(dask_scheduler):
        return [list(one.app_paths) for one in dask_scheduler.http_application.applications]

    assert sum("/daskgmm" in paths for paths in idle.run_on_scheduler(applications)) == 1
    assert get(first.replace("/daskgmm", "/status")).count('href="daskgmm"') == 1


@pytest.mark.slow
def test_columns_and_hosts_cannot_put_markup_into_the_page(idle, browser):
    link, evil = install(idle), "<img src=x onerror=alert(1)>"
    begun = {"event": "fit-start", "run_id": "e" * 32, "time": 0.0, "estimator": evil, "host": evil}
    made = {
        "event": "pass", "run_id": "e" * 32, "time": 1.0, "iteration": 1, "weights": [1.0],
        "means": [[0.0]], "deviations": [[1.0]], "tol": 1e-3, "max_iter": 5,
    }  # fmt: skip
    idle.log_event(TOPIC, {**begun, "columns": [evil], "pid": 1})
    idle.log_event(TOPIC, made)
    page = browser(link)
    page.locator("th", has_text=evil).wait_for()
    page.locator("h1", has_text=evil).wait_for()
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_a_reader_can_switch_between_light_and_dark(idle, browser):
    page = browser(install(idle))
    assert page.title() == "Dask: Gaussian mixtures"
    page.locator("html[data-theme=light]").wait_for()
    page.get_by_label("Light or dark").click()
    page.locator("html[data-theme=dark]").wait_for()
    page.reload()
    page.locator("html[data-theme=dark]").wait_for()
    page.goto(f"{page.url}?theme=light")
    page.locator("html[data-theme=light]").wait_for()
    page.emulate_media(color_scheme="dark")
    page.get_by_label("Light or dark").click()
    page.wait_for_url("**?theme=dark")
    page.locator("html[data-theme=dark]").wait_for()


def test_where_dasks_ways_have_moved_the_page_is_absent_with_one_warning(idle, monkeypatch, caplog):
    monkeypatch.delattr("distributed.dashboard.core.BokehApplication")
    assert install(idle) is None
    warned = [record for record in caplog.records if record.name.startswith("daskgmm")]
    assert len(warned) == 1
    assert "BokehApplication" in warned[0].getMessage()
    assert runs_at(idle.dashboard_link.replace("/status", "/daskgmm")) == []
    with pytest.raises(HTTPError):
        get(idle.dashboard_link.replace("/status", "/daskgmm"))


@pytest.mark.slow
def test_the_page_is_served_with_the_dashboards_certificate(tmp_path, browser):
    keys = certificates_in(tmp_path)
    tls = {"cert": f"{keys / 'scheduler.pem'}", "key": f"{keys / 'scheduler-key.pem'}"}
    named = {f"distributed.scheduler.dashboard.tls.{name}": file for name, file in tls.items()}
    with dask.config.set(named), cluster_of(0) as client:
        link = install(client).replace("http:", "https:")
        unchecked = ssl.create_default_context()
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        assert json.loads(get(f"{link}.json", context=unchecked)) == {"runs": []}
        page = browser(link)
        page.get_by_text("No fit yet").wait_for()
        page.close()  # before its scheduler goes, of which it would complain


@contextmanager
def scheduler_process(folder, *options, code=SCHEDULER, **environment):
    """A scheduler in a process of its own, its process id and a client of it."""
    file = folder / "scheduler.json"
    arguments = (
        "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0",
        "--scheduler-file", file,
    )  # fmt: skip
    env = {name: str(value) for name, value in environment.items()}
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, (*arguments, *options))],
        env={**dict(psutil.Process().environ()), **env},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            with Client(scheduler_file=str(file)) as client:
                yield process.pid, client
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_scheduler_can_have_it_from_its_start_under_its_prefix(tmp_path):
    preload = ("--preload", "daskgmm.monitoring.preload", "--dashboard-prefix", "there")
    with scheduler_process(tmp_path, *preload) as (_, client):
        base = client.dashboard_link.replace("/status", "/there")
        assert runs_at(f"{base}/daskgmm") == []
        assert "Weights of the components" in get(f"{base}/daskgmm")
        assert 'href="daskgmm"' in get(f"{base}/status")


@pytest.mark.slow
def test_it_is_put_on_a_scheduler_that_runs(tmp_path):
    with scheduler_process(tmp_path) as (_, client):
        link = client.dashboard_link.replace("/status", "/daskgmm")
        with pytest.raises(HTTPError):
            get(link)
        assert install(client) == link
        assert "Weights of the components" in get(link)


@pytest.mark.slow
@pytest.mark.parametrize(
    "ask", [install, lambda _: GaussianMixture().fit(two_groups())], ids=["install", "fit"]
)
def test_a_scheduler_without_daskgmm_is_told_of(tmp_path, ask):
    without = "import sys; sys.modules['daskgmm'] = None; "
    with (
        scheduler_process(tmp_path, code=without + SCHEDULER) as (_, client),
        pytest.raises(ConfigurationError, match="Install the same version"),
    ):
        ask(client)


def test_a_scheduler_that_has_gone_is_told_of(idle):
    idle.cluster.close()
    with pytest.raises(ClusterError, match="alive"):
        install(idle)


@pytest.mark.long
@pytest.mark.slow
def test_a_page_open_for_ten_thousand_passes_does_not_grow_the_scheduler(tmp_path, browser):
    def make(first, stop, dask_scheduler):
        for iteration in range(first, stop):
            made = {
                "event": "pass", "run_id": "d" * 32, "time": 1.0 * iteration, "tol": 0.0,
                "iteration": iteration, "lower_bound": -1 / iteration, "change": 1 / iteration,
                "seconds": 0.2, "rows": 1000, "bytes_read": 8000, "max_iter": 10**6,
                "weights": [0.05] * 20, "means": [[0.1] * 6] * 20, "deviations": [[1.0] * 6] * 20,
            }  # fmt: skip
            dask_scheduler.log_event("daskgmm", made)

    with scheduler_process(tmp_path, "--preload", "daskgmm.monitoring.preload") as (pid, client):
        page = browser(client.dashboard_link.replace("/status", "/daskgmm"))
        sizes = []
        for first in range(0, 10_000, 500):
            client.run_on_scheduler(make, first + 1, first + 501)
            page.wait_for_function(f"{DRAWN}.at(-1) == {first + 500}")
            sizes.append(psutil.Process(pid).memory_info().rss)
            assert page.evaluate(f"{DRAWN}.length") <= MOST_POINTS
        assert max(sizes) - sizes[4] < 20e6
        assert len(get(page.url + ".json")) < 1e6
        page.close()


@pytest.mark.slow
def test_a_jobs_own_cluster_links_to_the_page_or_else_to_the_dashboard(idle, monkeypatch, caplog):
    dashboard = idle.dashboard_link
    with cluster_of(0) as another, monkeypatch.context() as moved:
        moved.delattr("distributed.dashboard.scheduler.template_variables")
        assert page_on(another, another.dashboard_link) == another.dashboard_link
    assert "template_variables" in caplog.text
    with cluster_of(0) as another, monkeypatch.context() as moved:
        moved.delattr("distributed.scheduler.Scheduler.get_events")
        assert page_on(another, another.dashboard_link) == another.dashboard_link
    assert "get_events" in caplog.text
    assert page_on(idle, dashboard) == dashboard.replace("/status", "/daskgmm")
    assert page_on(idle, None) is None
