"""Waiting for a cluster's workers, and errors for workers or schedulers that are lost."""

import asyncio
import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from daskgmm.errors import ClusterError, ConfigurationError

_NOT_LOADED = "Error during deserialization of the task graph"
"""Dask's words for tasks that its scheduler could not unpickle."""

_NO_LOOP = "IOLoop is closed"
"""Dask's words where a call waits on a client that was closed."""

_GONE = "lost dependencies"
"""Dask's words for keys that a graph needs and its scheduler has forgotten."""

_RESTARTED = "scheduler-restart"
"""Dask's reason for futures that ``client.restart()`` cancelled."""

_LOST = ("scheduler-connection-lost", "unknown")
"""Dask's reasons for futures whose scheduler or client was closed."""

_NO_WORKERS = "no-workers"
"""Our reason for futures that are cancelled because no worker came."""

_SECONDS_BETWEEN_LOOKS = 1.0

_SECONDS_BEFORE_WARNING, _SECONDS_BETWEEN_WARNINGS = 5.0, 60.0
"""Time without workers before it is logged; a nanny restarts a worker in less than the first."""

_patience: ContextVar[float | None] = ContextVar("seconds to wait for workers", default=None)

logger = logging.getLogger(__name__)


@contextmanager
def waiting_for_workers(seconds: float) -> Iterator[None]:
    """Give up the block's passes after so many seconds without a worker; else they wait on."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


@contextmanager
def explaining_losses() -> Iterator[None]:
    """Turn Dask's errors for lost workers, lost schedulers and tasks that don't load into ours."""
    from distributed.client import ClosedClientError, FutureCancelledError
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"Workers died again and again under the task {error.task!r}.",
            "They probably ran out of memory: give them more, or use smaller partitions.",
        ) from error
    except FutureCancelledError as error:
        if _GONE in str(error):
            raise ClusterError(
                "The cluster no longer holds values that the input is computed from.",
                "Keep what was persisted in a variable of its own until the call returns; "
                "persist it again if the cluster was restarted.",
            ) from error
        raise _cancelled(error) from error
    except (CommClosedError, TimeoutError) as error:
        raise _lost(error) from error
    except (ClosedClientError, RuntimeError, UnboundLocalError) as error:
        if _tells_of_a_closed_client(error):
            raise _closed() from error
        if not str(error).startswith(_NOT_LOADED):
            raise
        raise ConfigurationError(
            "The scheduler can't load the tasks of a pass.",
            "Install the same versions of daskgmm and of its libraries where the scheduler runs.",
        ) from error


def workers_of(client: Any) -> dict[str, dict[str, Any]]:
    """What the scheduler says of its workers now, by their addresses.

    ``client.scheduler_info()`` may return what the client asked for beside it, as it does every two
    seconds: an answer without workers.
    """
    with explaining_losses():
        return dict(client.sync(client.scheduler.identity, n_workers=-1)["workers"])


def _tells_of_a_closed_client(error: Exception) -> bool:
    """Whether Dask raises such an error where a call waits on a client that another closes.

    A client that closes cancels what is waited for. Dask's function for waiting then has nothing
    to return, and fails on that: https://github.com/dask/distributed/issues/8514
    """
    from distributed.client import ClosedClientError
    from distributed.utils import sync

    if isinstance(error, UnboundLocalError):
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        return frame.f_code is sync.__code__
    return isinstance(error, ClosedClientError) or str(error) == _NO_LOOP


def _cancelled(error: Any) -> ClusterError:
    """The error for a future that Dask cancelled."""
    if error.reason == _NO_WORKERS:
        return _no_workers(str(error.msg))
    if error.reason == _RESTARTED:
        return ClusterError(
            "The cluster was restarted (client.restart()), and the work of its workers is lost.",
            "Run the same again without restarting the cluster meanwhile.",
        )
    if error.reason in _LOST:
        return _lost(error)
    return ClusterError(
        f"The cluster gave up the task {error.key!r} ({error.reason}).",
        "It may have been cancelled, or rows that it held are lost: run the same again.",
    )


def _lost(error: Exception) -> ClusterError:
    return ClusterError(
        f"The connection to the scheduler was lost ({type(error).__name__}).",
        "Check that the scheduler runs and can be reached, and run the same again.",
    )


def _closed() -> ClusterError:
    return ClusterError(
        "The Dask client was closed before the cluster had finished.",
        "Keep the client open until the call returns, and run the same again.",
    )


def _no_workers(fact: str) -> ClusterError:
    return ClusterError(
        fact,
        "Start workers, or wait longer for them with worker_timeout= (--worker-timeout), and run "
        "the same again.",
    )


class _Wait:
    """Counts a cluster's workers, and warns now and then while there are too few.

    Parameters
    ----------
    client : distributed.Client
    least : int
        Number of workers that is enough.
    """

    def __init__(self, client: Any, least: int = 1) -> None:
        self._client, self._least = client, least
        self._began, self._warned = time.monotonic(), -float("inf")
        self.workers = 0

    async def look(self) -> float:
        """Count the workers; return for how many seconds there have been too few."""
        identity = await self._client.scheduler.identity(n_workers=0)
        now, self.workers = time.monotonic(), identity["n_workers"]
        if self.workers >= self._least:
            self._began = now
        seconds = now - self._began
        due = max(self._warned + _SECONDS_BETWEEN_WARNINGS, self._began + _SECONDS_BEFORE_WARNING)
        if self.workers < self._least and now >= due:
            logger.warning("%s Waiting, %.0f s so far.", self.fact(), seconds)
            self._warned = now
        return seconds

    def fact(self, seconds: float | None = None) -> str:
        """A sentence that says how many workers there are."""
        count = f"{self.workers} of {self._least} workers are" if self.workers else "No worker is"
        after = "" if seconds is None else f" after {seconds:g} s"
        return f"{count} there{after} ({self._client.scheduler.address})."


def wait_for_workers(client: Any, least: int = 1) -> None:
    """Wait until a cluster has workers, no longer than `waiting_for_workers` says.

    Raises
    ------
    ClusterError
        The workers did not come in time, or the scheduler went away.
    """
    patience = _patience.get()

    async def wait() -> str | None:
        waited = _Wait(client, least)
        while (seconds := await waited.look()) >= 0 and waited.workers < least:
            if patience is not None and seconds >= patience:
                return waited.fact(patience)
            await asyncio.sleep(min(_SECONDS_BETWEEN_LOOKS, patience or _SECONDS_BETWEEN_LOOKS))
        return None

    with explaining_losses():
        fact = client.sync(wait)
    if fact is not None:
        raise _no_workers(fact)


@contextmanager
def giving_up(client: Any) -> Iterator[None]:
    """Cancel the futures that the block creates if the cluster has no worker for too long."""
    from distributed import Future

    patience, before = _patience.get(), frozenset(client.futures)

    async def watch() -> None:
        waited = _Wait(client)
        with suppress(OSError):  # a lost scheduler raises in the code that waits for the result
            while True:
                await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
                seconds = await waited.look()
                if patience is not None and seconds >= patience:
                    ours = [Future(key, client) for key in set(client.futures) - before]
                    fact = waited.fact(patience)
                    await client.cancel(ours, asynchronous=True, reason=_NO_WORKERS, msg=fact)
                    return

    if client.status != "running":  # a closed client raises its own error when used
        yield
        return
    watching = asyncio.run_coroutine_threadsafe(watch(), client.loop.asyncio_loop)
    try:
        yield
    finally:
        watching.cancel()
