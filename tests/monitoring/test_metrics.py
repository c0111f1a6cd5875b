"""What Prometheus finds on a scheduler's /metrics."""

import sys
from queue import Queue

import numpy as np
import pytest
from distributed import Client, LocalCluster
from prometheus_client import REGISTRY

from daskgmm import GaussianMixture, GaussianMixtureSelector
from daskgmm.errors import DataError
from daskgmm.monitoring import install
from daskgmm.monitoring.events import TOPIC
from daskgmm.monitoring.history import MOST_RUNS
from tests.support.clusters import in_threads
from tests.support.rows import two_groups
from tests.support.scraping import of
from tests.support.scraping import scrape as scrape_port


def cluster_of(workers):
    return LocalCluster(n_workers=workers, threads_per_worker=2, dashboard_address=":0")


@pytest.fixture(scope="module")
def client():
    with in_threads(threads_per_worker=2) as client:
        install(client)
        yield client


def scrape(cluster):
    return scrape_port(cluster.scheduler.http_server.port)


def last_run(client):
    return client.get_events(TOPIC)[-1][1]["run_id"]


def ours(found):
    return {key for key in found if key[0].startswith("daskgmm_")}


@pytest.mark.slow
def test_a_finished_fit_is_told_by_its_run(client):
    model = GaussianMixture(2, random_state=0, tol=1e-6, subsample=None).fit(two_groups())
    found, run = scrape(client.cluster), last_run(client)
    assert of(found, "daskgmm_lower_bound", run=run) == model.lower_bound_
    assert of(found, "daskgmm_iteration", run=run) == model.n_iter_
    assert of(found, "daskgmm_max_iter", run=run) == 100
    assert of(found, "daskgmm_change", run=run) == model.history_[-1]["change"]
    assert of(found, "daskgmm_tol", run=run) == 1e-6
    assert of(found, "daskgmm_rows_total", run=run) == 2_000 * model.n_iter_
    assert of(found, "daskgmm_passes_total", run=run) == model.n_iter_
    assert of(found, "daskgmm_pass_seconds", run=run) == model.history_[-1]["seconds"]
    assert of(found, "daskgmm_running", run=run) == 0


def info(client):
    found = scrape(client.cluster)
    run = last_run(client)
    (labels,) = [
        dict(labels) for name, labels in found
        if name == "daskgmm_fit_info" and dict(labels)["run_id"] == run
    ]  # fmt: skip
    assert of(found, "daskgmm_fit_info", **labels) == 1
    return labels


@pytest.mark.slow
def test_a_fits_size_and_kind_are_labels(client):
    GaussianMixture(3, covariance_type="diag", random_state=0).fit(two_groups())
    labels = info(client)
    assert labels["run"] == labels["run_id"]
    own = {name: labels[name] for name in ("estimator", "components", "covariance", "rows")}
    assert own == {
        "estimator": "GaussianMixture",
        "components": "3",
        "covariance": "diag",
        "rows": "2000",
    }
    kinds = ("full", "diag")
    GaussianMixtureSelector(range(1, 4), covariance_type=kinds, random_state=0).fit(two_groups())
    labels = info(client)
    assert (labels["components"], labels["covariance"]) == ("1..3", "full,diag")


@pytest.mark.slow
def test_a_fit_that_goes_on_is_running_and_its_passes_move(client):
    heard, seen = Queue(), []

    def look(state):
        while heard.get(timeout=200)[1].get("iteration") != state.iteration:
            pass
        seen.append(scrape(client.cluster))

    client.subscribe_topic(TOPIC, heard.put)
    model = GaussianMixture(2, random_state=0, tol=1e-6, subsample=None, callbacks=[look])
    model.fit(two_groups())
    while heard.get(timeout=200)[1]["event"] != "fit-end":
        pass
    client.unsubscribe_topic(TOPIC)
    run = last_run(client)
    iterations = [of(found, "daskgmm_iteration", run=run) for found in seen]
    assert iterations == list(range(1, model.n_iter_ + 1))
    assert {of(found, "daskgmm_running", run=run) for found in seen} == {1}
    assert {of(found, "daskgmm_fits_running") for found in seen} == {1}
    assert of(scrape(client.cluster), "daskgmm_fits_running") == 0


@pytest.mark.slow
def test_fits_that_ended_are_counted_by_their_outcome(client):
    def counts():
        found = scrape(client.cluster)
        names = ("converged", "max_iter", "failed", "interrupted", "lost")
        return [of(found, "daskgmm_fits_total", outcome=name) for name in names]

    def interrupt(state):
        raise KeyboardInterrupt

    before = counts()
    GaussianMixture(2, random_state=0).fit(two_groups())
    with pytest.warns(UserWarning, match="did not converge"):
        GaussianMixture(2, random_state=0, tol=0, max_iter=2, subsample=None).fit(two_groups())
    with pytest.raises(DataError):
        GaussianMixture(2).fit(np.full((50, 2), np.nan))
    with pytest.raises(KeyboardInterrupt):
        GaussianMixture(2, callbacks=[interrupt]).fit(two_groups())
    assert [after - one for after, one in zip(counts(), before, strict=True)] == [1, 1, 1, 1, 0]


def test_series_stay_bounded_and_counts_go_on(client):
    total = sum(value for key, value in scrape(client.cluster).items() if "fits_total" in key[0])
    for number in range(3 * MOST_RUNS):
        for event in ({"event": "fit-start"}, {"event": "fit-end", "stopped": "converged"}):
            client.log_event(TOPIC, {**event, "run_id": f"{number:032x}", "time": 0.0})
    found = scrape(client.cluster)
    runs = {dict(labels)["run"] for _, labels in found if "run" in dict(labels)}
    assert len(runs) == MOST_RUNS
    after = sum(value for key, value in found.items() if "fits_total" in key[0])
    assert after == total + 3 * MOST_RUNS


def test_a_value_that_is_no_number_has_no_sample(client):
    told = {"lower_bound": None, "change": None, "iteration": 1, "seconds": 0.1, "rows": 5}
    client.log_event(TOPIC, {"event": "pass", "run_id": "f" * 32, "time": 0.0, **told})
    found = scrape(client.cluster)
    assert of(found, "daskgmm_lower_bound", run="f" * 32) is None
    assert of(found, "daskgmm_rows_total", run="f" * 32) == 5


@pytest.mark.slow
def test_schedulers_of_one_process_come_and_go():
    def names():
        return [name for name in REGISTRY._names_to_collectors if name.startswith("daskgmm_")]

    there = bool(names())  # another cluster of these tests
    for _ in range(2):
        with (
            cluster_of(0) as one,
            Client(one) as client,
            cluster_of(0) as two,
            Client(two) as other,
        ):
            for each in (client, other):
                install(each)
                install(each)
            assert ours(scrape(one))
            assert ours(scrape(two))
        assert bool(names()) == there


def test_without_prometheus_there_is_a_page_all_the_same(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "daskgmm.monitoring.service.metrics", None)
    with cluster_of(0) as cluster, Client(cluster) as client:
        assert install(client).endswith("/daskgmm")
    assert "Not on the dashboard: /metrics" in caplog.text
