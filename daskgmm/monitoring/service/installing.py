"""Puts fits on the dashboard of a running cluster: the page, its JSON and the metrics."""

import logging
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias
from urllib.parse import urljoin

from daskgmm.errors import ClusterError, ConfigurationError
from daskgmm.monitoring.events import TOPIC
from daskgmm.monitoring.service.state import ClusterFits

Part: TypeAlias = Callable[[Any, ClusterFits], Callable[[], None] | None]
"""Adds a path to a scheduler, in its event loop; returns how to close it, if that is needed."""

PARTS: dict[str, str] = {
    "/daskgmm.json": "daskgmm.monitoring.service.http",
    "/daskgmm": "daskgmm.monitoring.page.route",
    "/metrics": "daskgmm.monitoring.service.metrics",
}
"""Modules whose ``add`` is a `Part`, by the path that it adds. Each may need other libraries."""


def part(name: str) -> Part:
    """The part of a path; its module is imported."""
    add: Part = import_module(PARTS[name]).add
    return add


PAGE = "/daskgmm"

logger = logging.getLogger(__name__)


def install(client: Any) -> str | None:
    """Put the page ``/daskgmm``, ``/daskgmm.json`` and metrics on a cluster's dashboard.

    They show all fits on the cluster, those of other users and earlier ones too, as far as the
    scheduler still has their events. A second call does nothing.

    Parameters
    ----------
    client : distributed.Client

    Returns
    -------
    str or None
        Address of the page; ``None``, after a warning, where it can't be served.

    Raises
    ------
    ConfigurationError
        The client is asynchronous, or daskgmm is not installed where the scheduler runs.
    ClusterError
        The scheduler does not answer.
    """
    if client.asynchronous:
        raise ConfigurationError(
            "The Dask client is asynchronous.", "Use a Client without asynchronous=True."
        )
    faults = _installed(client)
    warn(faults)
    link = client.dashboard_link
    return None if PAGE in faults or not link else urljoin(link, PAGE.lstrip("/"))


def _installed(client: Any) -> dict[str, str]:
    try:
        if client.scheduler is None:
            raise ConnectionError("closed")
        faults: dict[str, str] = client.run_on_scheduler(on_scheduler)
    except ImportError as error:
        raise ConfigurationError(
            f"The scheduler {client.scheduler.address} can't load daskgmm ({error}).",
            "Install the same version of daskgmm where the scheduler runs.",
        ) from error
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"The scheduler does not answer ({type(error).__name__}).", "Check that it is alive."
        ) from error
    return faults


def on_scheduler(dask_scheduler: Any) -> dict[str, str]:
    """Put all parts on a scheduler, in its event loop.

    Returns
    -------
    dict
        The parts that could not be added, with the error of each.
    """
    from daskgmm.monitoring.service.plugin import NAME, FitPlugin

    if (there := dask_scheduler.plugins.get(NAME)) is not None:
        return dict(there.faults)
    plugin = FitPlugin(ClusterFits())
    for at, event in dask_scheduler.get_events(TOPIC):
        plugin.fits.histories.add(event, at)
    runs, clients = plugin.fits.histories.runs, dask_scheduler.clients
    lost = [run.run_id for run in runs if run.client not in clients]
    plugin.fits.histories.mark_lost(lost, time.time())
    dask_scheduler.add_plugin(plugin)
    for name in PARTS:
        try:
            close = part(name)(dask_scheduler, plugin.fits)
        except Exception as error:  # noqa: BLE001  Dask may have changed, a library may be missing
            plugin.faults[name] = f"{type(error).__name__}: {error}"
        else:
            plugin.closing += [] if close is None else [close]
    return dict(plugin.faults)


def warn(faults: dict[str, str]) -> None:
    """Warn of the parts that could not be put on a dashboard."""
    if faults:
        parts = "; ".join(f"{name} ({why})" for name, why in faults.items())
        logger.warning("Not on the dashboard: %s. Fits go on without it.", parts)
