"""The sizes in deploy/kubernetes against those that ``daskgmm plan`` reckons."""

import re

import click
import pytest
from dask.utils import format_bytes
from kubernetes.utils import parse_quantity

from daskgmm.cli.main import daskgmm
from daskgmm.jobs import plan
from tests.support.command import logging_as_it_was
from tests.support.manifests import ALL, FOLDER, built, clusters, containers, one, pod_of

FILES = {"nightly": "cluster.yaml", "once": "once/fit.yaml"}


@pytest.fixture(params=FILES, scope="module")
def folder(request):
    return request.param


@pytest.fixture(scope="module")
def applied(folder):
    return built(ALL[folder])


@pytest.fixture(scope="module")
def text(folder):
    """The file with the workers, its comments in a line."""
    return " ".join(re.sub(r"\n *#", " ", (FOLDER / FILES[folder]).read_text("utf-8")).split())


@pytest.fixture(scope="module")
def planned(text):
    """What the command in the comment reckons."""
    (line,) = re.findall(r"daskgmm (plan [^:]+):", text)
    name, *words = line.split()
    with logging_as_it_was(), click.Context(daskgmm, info_name="daskgmm") as parent:
        context = daskgmm.get_command(parent, name).make_context(name, words, parent=parent)
    asked = ("components", "rows", "features", "workers", "threads", "memory_limit")
    return plan(**{name: context.params[name] for name in asked})


@pytest.mark.slow
def test_workers_are_as_large_as_the_planner_says(applied, planned):
    (worker,) = containers(pod_of(applied, "worker"))
    asked = worker["resources"]["requests"]
    assert asked == worker["resources"]["limits"]
    assert int(asked["cpu"]) == planned["threads"]
    least = planned["cheapest"]["memory_a_worker_bytes"]
    assert parse_quantity(asked["memory"]) == planned["memory_limit_bytes"] >= least


@pytest.mark.slow
def test_there_are_as_many_workers_as_hold_the_rows(applied, planned):
    (cluster,) = clusters(applied)
    assert cluster["worker"]["replicas"] == planned["cheapest"]["workers"]


def test_the_comments_tell_the_planner_s_numbers(text, planned):
    each = format_bytes(planned["cheapest"]["memory_a_worker_bytes"])
    for fact in (
        f"{format_bytes(planned['data_bytes'])} of rows",
        f"in {planned['tasks_a_pass']} tasks a pass, by blocks of {planned['rows_a_block']:,}",
        f"A worker needs {format_bytes(planned['memory_a_worker_bytes'])} without holding rows",
        f"{planned['cheapest']['workers']} workers of {each} are the fewest that hold them",
    ):
        assert fact in text


def test_the_one_shot_waits_for_as_many_workers_as_it_asks_for():
    once = built(ALL["once"])
    (cluster,) = clusters(once)
    wait, _ = containers(pod_of(once, "job-runner"))
    assert f"wait_for_workers({cluster['worker']['replicas']}," in wait["command"][-1]


def test_the_autoscaler_goes_from_a_night_s_workers_to_those_of_the_one_shot():
    nightly = built(ALL["nightly"])
    spec = one(nightly, "DaskAutoscaler")["spec"]
    (night,), (once,) = clusters(nightly), clusters(built(ALL["once"]))
    assert spec["cluster"] == one(nightly, "DaskCluster")["metadata"]["name"]
    assert spec["minimum"] == night["worker"]["replicas"]
    assert spec["maximum"] == once["worker"]["replicas"]
