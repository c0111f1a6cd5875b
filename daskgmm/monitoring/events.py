"""Logs fits as events on the cluster that they run on."""

import threading
from queue import SimpleQueue
from typing import Any

from daskgmm.data.storage.deadline import SECONDS_AFTER_INTERRUPT
from daskgmm.errors import ConfigurationError
from daskgmm.monitoring.messages import ended, passed, started
from daskgmm.monitoring.observer import FitEnd, FitPass, FitStart, Reason
from daskgmm.passes.engine.client import active_client

TOPIC = "daskgmm"

_PATIENCE_SECONDS = 5.0


class EventObserver:
    """Logs the start of a fit, each pass, and the end as events of the topic `TOPIC`.

    A thread of its own sends them in their order, so that no pass waits for them.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._queue: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        # No pool: Python would wait for its threads at the end, even if no scheduler answers.
        self._sender = threading.Thread(target=self._send, name="daskgmm-events", daemon=True)
        self._fault: Exception | None = None
        self._about: FitStart
        self._last: FitPass | None = None

    def start(self, about: FitStart) -> None:
        """Log that the fit begins."""
        self._about = about
        self._enqueue(started(about))
        self._sender.start()

    def tell(self, made: FitPass) -> None:
        """Log one more pass."""
        self._last = made
        self._enqueue(passed(self._about, made))

    def end(self, ending: FitEnd) -> None:
        """Log the end of the fit and wait a few seconds until all events have been sent."""
        self._enqueue(ended(self._about, self._last, ending))
        self._queue.put(None)
        hasty = ending.reason is Reason.INTERRUPTED
        self._sender.join(SECONDS_AFTER_INTERRUPT if hasty else _PATIENCE_SECONDS)
        if self._sender.is_alive():
            raise TimeoutError("the scheduler takes no events")
        if self._fault is not None:
            raise self._fault

    def _enqueue(self, event: dict[str, Any]) -> None:
        self._queue.put(
            event | {"client": self._client.id}
        )  # if this client leaves before the end, the fit is lost

    def _send(self) -> None:
        while (event := self._queue.get()) is not None:
            self._fault = None  # only the last event's error matters: that event reports the end
            try:
                self._client.log_event(TOPIC, event)
            except Exception as error:  # noqa: BLE001  `end` raises it
                self._fault = error


def observer() -> EventObserver | None:
    """The observer that logs to the scheduler; ``None`` where passes run without a client."""
    try:
        client = active_client()
    except ConfigurationError:  # the fit itself will raise it
        return None
    return None if client is None else EventObserver(client)
