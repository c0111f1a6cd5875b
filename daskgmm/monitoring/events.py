"""Fits as events on the cluster that they run on."""

import threading
from queue import SimpleQueue
from typing import Any

from daskgmm.data.storage.deadline import SECONDS_AFTER_INTERRUPT
from daskgmm.errors import ConfigurationError
from daskgmm.monitoring.messages import ended, passed, started
from daskgmm.monitoring.observer import About, Ending, Pass, Reason
from daskgmm.passes.engine.client import active_client

TOPIC = "daskgmm"

_PATIENCE_SECONDS = 5.0


class EventObserver:
    """Logs the start of a fit, each pass, and the end as events of the topic `TOPIC`.

    They go out in their order from a thread of their own, so that no pass waits for them.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._told: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        # Not one of a pool: Python waits for those at its end, also where no scheduler answers.
        self._sender = threading.Thread(target=self._send, name="daskgmm-events", daemon=True)
        self._fault: Exception | None = None
        self._about: About
        self._last: Pass | None = None

    def start(self, about: About) -> None:
        """The fit begins."""
        self._about = about
        self._tell(started(about))
        self._sender.start()

    def tell(self, made: Pass) -> None:
        """One more pass has been made."""
        self._last = made
        self._tell(passed(self._about, made))

    def end(self, ending: Ending) -> None:
        """The fit has ended: what was to be told has been, if the scheduler is there to hear."""
        self._tell(ended(self._about, self._last, ending))
        self._told.put(None)
        hasty = ending.reason is Reason.INTERRUPTED
        self._sender.join(SECONDS_AFTER_INTERRUPT if hasty else _PATIENCE_SECONDS)
        if self._sender.is_alive():
            raise TimeoutError("the scheduler takes no events")
        if self._fault is not None:
            raise self._fault

    def _tell(self, event: dict[str, Any]) -> None:
        self._told.put(event | {"client": self._client.id})  # whose end is the fit's, if untold

    def _send(self) -> None:
        while (event := self._told.get()) is not None:
            self._fault = None  # it matters of the last only: that has all there is to know
            try:
                self._client.log_event(TOPIC, event)
            except Exception as error:  # noqa: BLE001  the end tells of it
                self._fault = error


def for_this_cluster() -> EventObserver | None:
    """Where passes run on a client, the observer that tells its scheduler."""
    try:
        client = active_client()
    except ConfigurationError:  # which the fit itself will say
        return None
    return None if client is None else EventObserver(client)
