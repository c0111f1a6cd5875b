"""Fits on the scheduler's ``/metrics``, for Prometheus."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from daskgmm.monitoring.history import LOST, FitHistory
from daskgmm.monitoring.observer import Reason
from daskgmm.monitoring.service.state import ClusterFits

OUTCOMES = (*(reason.value for reason in Reason), LOST)

_GAUGES: dict[str, tuple[str, Callable[[FitHistory], Any]]] = {
    "daskgmm_lower_bound": (
        "Lower bound of the best start after the latest pass (nats a row).",
        lambda run: run.latest.get("lower_bound"),
    ),
    "daskgmm_change": (
        "Change by the latest pass of what tol is held against.",
        lambda run: run.latest.get("change"),
    ),
    "daskgmm_tol": (
        "The fit has converged when its change is smaller.",
        lambda run: run.latest.get("tol", run.about.get("tol")),
    ),
    "daskgmm_iteration": (
        "Number of the latest pass of EM over all rows.",
        lambda run: run.iteration,
    ),
    "daskgmm_max_iter": (
        "Most passes of EM over all rows.",
        lambda run: run.latest.get("max_iter", run.about.get("max_iter")),
    ),
    "daskgmm_pass_seconds": (
        "Wall time of the latest pass.",
        lambda run: run.latest.get("seconds"),
    ),
    "daskgmm_running": (
        "1 while the fit goes on, 0 when it has ended.",
        lambda run: int(run.running),
    ),
}
_COUNTERS: dict[str, tuple[str, Callable[[FitHistory], Any]]] = {
    "daskgmm_rows": ("Rows that passes have read.", lambda run: run.rows),
    "daskgmm_passes": ("Passes of EM over all rows.", lambda run: run.passes),
}


def _named(name: str) -> Callable[[FitHistory], str]:
    return lambda run: str(run.about.get(name, ""))


def _components(run: FitHistory) -> str:
    """Numbers of components K of the candidates, such as ``8``, ``1..10`` or ``2,4,8``."""
    numbers = sorted(set(run.about.get("n_components", ())))
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}..{numbers[-1]}"
    return ",".join(map(str, numbers))


def _rows(run: FitHistory) -> str:
    """Rows of a pass, where they are known."""
    found = run.latest.get("rows") or run.about.get("rows")
    return "" if found is None else str(found)


_ABOUT: dict[str, Callable[[FitHistory], str]] = {
    "run_id": lambda run: run.run_id,
    "estimator": _named("estimator"),
    "host": _named("host"),
    "components": _components,
    "covariance": lambda run: ",".join(dict.fromkeys(run.about.get("covariance_type", ()))),
    "rows": _rows,
}
"""Labels of ``daskgmm_fit_info``; other metrics are joined to it by ``run``."""


class Collector:
    """Collects the metrics of all fits that schedulers in this process know.

    A registry takes each metric from one collector only, and there is one registry a process,
    also where several schedulers run in it.
    """

    def __init__(self) -> None:
        self._clusters: list[ClusterFits] = []

    def add(self, fits: ClusterFits) -> Callable[[], None]:
        """Add the fits of a cluster; the function that is returned removes them."""
        if not self._clusters:
            REGISTRY.register(self)
        self._clusters.append(fits)
        return lambda: self._remove(fits)

    def collect(self) -> Iterator[Metric]:
        """Return all metrics to the registry."""
        histories = [fits.histories for fits in self._clusters]
        runs = {run.run_id: run for history in histories for run in history.runs}
        ended: Counter[str] = Counter()
        for history in histories:
            ended.update(history.outcomes)
        yield from _of_runs(list(runs.values()))
        running = sum(run.running for run in runs.values())
        yield GaugeMetricFamily("daskgmm_fits_running", "Fits that go on.", running)
        fits = CounterMetricFamily("daskgmm_fits", "Fits that have ended.", labels=["outcome"])
        for outcome in OUTCOMES:
            fits.add_metric([outcome], ended[outcome])
        yield fits

    def _remove(self, fits: ClusterFits) -> None:
        self._clusters.remove(fits)
        if not self._clusters:
            REGISTRY.unregister(self)


def _of_runs(runs: Iterable[FitHistory]) -> Iterator[Metric]:
    kinds = ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS))
    for family, metrics in kinds:
        for name, (text, value_of) in metrics.items():
            metric = family(name, text, labels=["run"])
            for run in runs:
                value = value_of(run)
                if value is not None:  # before the first pass, or where it is not finite
                    metric.add_metric([run.run_id], value)
            yield metric
    about = GaugeMetricFamily("daskgmm_fit_info", "Which fit a run is.", labels=["run", *_ABOUT])
    for run in runs:
        about.add_metric([run.run_id, *(value_of(run) for value_of in _ABOUT.values())], 1)
    yield about


_collector = Collector()


def add(scheduler: Any, fits: ClusterFits) -> Callable[[], None]:  # noqa: ARG001  as each part
    """Add the fits of a cluster to the scheduler's metrics; returns how to remove them."""
    return _collector.add(fits)
