"""Fits as events on the cluster that they run on."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from daskgmm.errors import ConfigurationError
from daskgmm.monitoring.messages import ended, passed, started
from daskgmm.monitoring.observer import About, Ending, Pass
from daskgmm.passes.engine import active_client

TOPIC = "daskgmm"

_PATIENCE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Events:
    """Logs the start of a fit, each pass, and the end as events of the topic `TOPIC`.

    They go out in their order from a thread of their own, so that no pass waits for them.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sender = ThreadPoolExecutor(1, "daskgmm-events")
        self._about: About
        self._last: Pass | None = None

    def start(self, about: About) -> None:
        """The fit begins."""
        self._about = about
        self._send(started(about))

    def tell(self, made: Pass) -> None:
        """One more pass has been made."""
        self._last = made
        self._send(passed(self._about, made))

    def end(self, ending: Ending) -> None:
        """The fit has ended: what was to be told has been, if the scheduler is there to hear."""
        last = self._send(ended(self._about, self._last, ending))
        self._sender.shutdown(wait=False)
        last.result(_PATIENCE_SECONDS)

    def _send(self, event: dict[str, Any]) -> "Future[None]":
        return self._sender.submit(self._client.log_event, TOPIC, event)


def for_this_cluster() -> Events | None:
    """Where passes run on a client, the observer that tells its scheduler."""
    try:
        client = active_client()
    except ConfigurationError:  # which the fit itself will say
        return None
    return None if client is None else Events(client)
