"""The Grafana dashboard, held against what a real cluster tells Prometheus."""

import json
import re
from itertools import combinations

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.monitoring import install
from tests.support.clusters import in_threads
from tests.support.paths import DEPLOY
from tests.support.scraping import scrape

DASHBOARD = json.loads((DEPLOY / "grafana" / "daskgmm.json").read_text())
PANELS = DASHBOARD["panels"]
WIDTH = 24  # of Grafana's grid


def queries():
    return [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]] + [
        (one["name"], one["definition"]) for one in variables() if one["type"] == "query"
    ]


def variables():
    return DASHBOARD["templating"]["list"]


@pytest.fixture(scope="module")
def told():
    """All that the scheduler and a worker tell after a fit."""
    with in_threads() as client:
        install(client)
        GaussianMixture(2, random_state=0, subsample=None).fit(
            np.random.default_rng(0).random((99, 2))
        )
        ports = client.run(lambda dask_worker: dask_worker.http_server.port)
        return scrape(client.cluster.scheduler.http_server.port) | scrape(*ports.values())


@pytest.mark.parametrize(("title", "query"), queries())
def test_queries_name_metrics_labels_and_values_that_there_are(told, title, query):
    names = set(re.findall(r"\bdask(?:gmm)?_\w+", query))
    assert names
    assert names <= {name for name, _ in told}
    known = {label for name, labels in told if name in names for label, _ in labels}
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", query)
    asked = {label.strip() for one in grouped for label in one.split(",")}
    asked |= set(re.findall(r"[{,](\w+)(?:=~|=)", query))
    assert asked <= known


def test_outcomes_asked_for_are_outcomes_that_there_are(told):
    known = {dict(labels).get("outcome") for _, labels in told}
    asked = re.findall(r'outcome=~"([^"]*)"', " ".join(query for _, query in queries()))
    assert asked
    assert {one for each in asked for one in each.split("|")} == known - {None}


def test_our_tasks_are_among_those_of_the_query(told):
    (pattern,) = set(re.findall(r'task_prefix_name=~"([^"]*)"', str(queries())))
    prefixes = {dict(labels).get("task_prefix_name", "") for _, labels in told}
    assert [name for name in prefixes if re.fullmatch(pattern, name)]


def test_every_metric_of_a_run_that_moves_is_shown(told):
    shown = " ".join(query for _, query in queries())
    told_of = {
        name for name, labels in told if name.startswith("daskgmm_") and "created" not in name
    }
    assert {name for name in told_of if name not in shown} <= {
        "daskgmm_max_iter",
        "daskgmm_passes_total",
    }


def test_panels_have_ids_of_their_own_and_lie_in_the_grid_without_overlap():
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    boxes = [[panel["gridPos"][side] for side in "xywh"] for panel in PANELS]
    assert all(x >= 0 and x + w <= WIDTH and min(w, h) > 0 for x, _, w, h in boxes)
    for (x, y, w, h), (other_x, other_y, other_w, other_h) in combinations(boxes, 2):
        beside = x + w <= other_x or other_x + other_w <= x
        above = y + h <= other_y or other_y + other_h <= y
        assert beside or above


def test_data_sources_and_runs_are_for_the_viewer_to_choose():
    assert [one["name"] for one in variables()] == ["datasource", "run"]
    sources = [panel["datasource"] for panel in PANELS]
    sources += [target["datasource"] for panel in PANELS for target in panel["targets"]]
    assert {source["uid"] for source in sources} == {"${datasource}"}
    of_runs = [query for title, query in queries() if title != "run" and "run" in query]
    assert all('run=~"$run"' in query for query in of_runs if "daskgmm_fits" not in query)


def test_the_change_is_on_a_log_scale_beside_tol():
    (panel,) = (panel for panel in PANELS if "daskgmm_change" in str(panel["targets"]))
    assert "daskgmm_tol" in str(panel["targets"])
    assert panel["fieldConfig"]["defaults"]["custom"]["scaleDistribution"]["type"] == "log"
