"""Seconds a pass that is watched by all who can: events, the scheduler's page, a terminal."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any
from unittest import mock

import dask.array as da
from bokeh.client import pull_session
from distributed import Client, LocalCluster
from rich.console import Console

from daskgmm import GaussianMixture
from daskgmm.cli.output.lines import ProgressLines
from daskgmm.cli.output.live import LiveDisplay
from daskgmm.monitoring import install
from daskgmm.monitoring.forecast import Forecast
from daskgmm.passes.engine.progress import tracking
from tests.benchmarks.result import Result

ROWS, CHUNK, FEATURES, COMPONENTS = 6_000_000, 150_000, 10, 20
PASSES, PAIRS = 9, 8
WANTED = 0.99


def measure(size: float) -> Iterator[Result]:
    """Fits on two workers, watched and not by turns; the page is open all the while."""
    with _cluster() as client:
        chunks = max(int(ROWS * size) // CHUNK, 2)
        shape = (chunks * CHUNK, FEATURES)
        rows = da.random.default_rng(0).normal(size=shape, chunks=(CHUNK, FEATURES)).persist()
        session = pull_session(url=install(client))
        _passes(rows)
        seconds: dict[str, list[float]] = {"watched": [], "unwatched": []}
        for _ in range(PAIRS):
            with _nobody_else(client):
                seconds["unwatched"] += _passes(rows)
            seconds["watched"] += _watched(rows)
        session.close()
    ours, peers = median(seconds["watched"]), {"unwatched": median(seconds["unwatched"])}
    work = f"{shape[0]:,} x {FEATURES}, K = {COMPONENTS}, 2 workers, page open, terminal"
    yield Result("watching", work, ours, peers, "s", WANTED)


@contextmanager
def _cluster() -> Iterator[Client]:
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


@contextmanager
def _nobody_else(client: Any) -> Iterator[None]:
    """Fits without observers, on a scheduler without the plugin."""
    plugins = client.cluster.scheduler.plugins
    plugin = plugins.pop("daskgmm")
    with mock.patch("daskgmm.monitoring.default_observers.DEFAULT_OBSERVERS", ()):
        yield
    plugins["daskgmm"] = plugin


def _watched(rows: Any) -> list[float]:
    lines = ProgressLines("Fitting", every=0, forecast=Forecast(0.0, PASSES))
    console = Console(file=io.StringIO(), force_terminal=True)
    with LiveDisplay(lines, console) as display, tracking(display.watch):
        return _passes(rows, display.tell)


def _passes(rows: Any, *callbacks: Any) -> list[float]:
    """Seconds of the passes after the first two, with what is done between them."""
    ends: list[float] = []
    model = GaussianMixture(
        COMPONENTS, tol=0, max_iter=PASSES, subsample=None, init_params="random_from_data",
        random_state=0, cache="none", callbacks=(*callbacks, lambda _: ends.append(perf_counter())),
    )  # fmt: skip
    model.fit(rows)
    return [after - before for before, after in pairwise(ends[1:])]
