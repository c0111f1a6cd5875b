"""Puts fits on the dashboard of a running cluster.

What can be put on a scheduler's HTTP server.
"""

import logging
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias
from urllib.parse import urljoin

from daskgmm.errors import ClusterError, ConfigurationError
from daskgmm.monitoring.events import TOPIC
from daskgmm.monitoring.state import Board

Part: TypeAlias = Callable[[Any, Board], Callable[[], None] | None]
"""Puts itself on a scheduler, in its event loop; returns how to close it, if that is needed."""

PARTS: dict[str, str] = {
    "/daskgmm.json": "daskgmm.monitoring.http",
    "/daskgmm": "daskgmm.monitoring.page.route",
    "/metrics": "daskgmm.monitoring.metrics",
}
"""Modules whose ``add`` is a `Part`, by what it adds. Each may need other libraries."""


def part(name: str) -> Part:
    """Import a part."""
    found: Part = import_module(PARTS[name]).add
    return found


PAGE = "/daskgmm"

logger = logging.getLogger(__name__)


def install(client: Any) -> str | None:
    """Put the page ``/daskgmm`` on a cluster's dashboard, and what else shows fits beside it.

    It shows all fits on the cluster, whoever makes them, also those of before as far as the
    scheduler remembers their events. Done again, it does nothing.

    Parameters
    ----------
    client : distributed.Client

    Returns
    -------
    str or None
        Where the page is; ``None``, and a warning, where it could not be put there.

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
        What could not be put there, and why. It is as if it had never been tried.
    """
    from daskgmm.monitoring.plugin import NAME, FitPlugin

    if (there := dask_scheduler.plugins.get(NAME)) is not None:
        return dict(there.faults)
    ear = FitPlugin(Board())
    for at, event in dask_scheduler.get_events(TOPIC):
        ear.board.history.tell(event, at)
    runs, clients = ear.board.history.runs, dask_scheduler.clients
    lost = [run.run_id for run in runs if run.client not in clients]
    ear.board.history.lose(lost, time.time())
    dask_scheduler.add_plugin(ear)
    for name in PARTS:
        try:
            close = part(name)(dask_scheduler, ear.board)
        except Exception as error:  # noqa: BLE001  whatever moved in Dask or is missing: go on
            ear.faults[name] = f"{type(error).__name__}: {error}"
        else:
            ear.closing += [] if close is None else [close]
    return dict(ear.faults)


def warn(faults: dict[str, str]) -> None:
    """Warn once of what could not be put on a dashboard."""
    if faults:
        told = "; ".join(f"{name} ({why})" for name, why in faults.items())
        logger.warning("Not on the dashboard: %s. Fits go on without.", told)
