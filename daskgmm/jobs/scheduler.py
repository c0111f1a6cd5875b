"""A cluster that is there already."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from daskgmm.errors import ClusterError, ConfigurationError

CONNECT_SECONDS = 15.0


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """A client of a scheduler, the default one in the block.

    Parameters
    ----------
    scheduler : str
        Its address, or the file that it wrote its address to.

    Raises
    ------
    ClusterError
        It doesn't answer in `CONNECT_SECONDS`.
    ConfigurationError
        The address has no form that Dask knows.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    address = _address(scheduler, deadline)
    from distributed import Client

    try:
        _greet(address, max(deadline - time.monotonic(), 1.0))
        client = Client(address, timeout=CONNECT_SECONDS)
    except ValueError as error:
        raise ConfigurationError(
            f"{address!r} is no scheduler's address: {error}.",
            "Give one such as tcp://host:8786, or the scheduler's file.",
        ) from error
    except (OSError, ImportError) as error:  # the latter where versions can't work together
        raise _no_answer(f"The scheduler {address}") from error
    with client:
        yield client


def _greet(address: str, seconds: float) -> None:
    """Raise OSError unless a scheduler answers in time.

    A client waits without end for one that takes the connection and then says nothing.
    """
    from distributed.comm import connect
    from distributed.utils import LoopRunner

    async def greet() -> None:
        comm = await asyncio.wait_for(connect(address, timeout=seconds), seconds)
        comm.abort()

    LoopRunner().run_sync(greet)  # in a thread: an event loop may run in this one


def _address(scheduler: str, deadline: float) -> str:
    """Read the address from a scheduler's file, which may be about to be written."""
    if "://" in scheduler or _is_host_and_port(scheduler):
        return scheduler
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"])
        time.sleep(0.05)
    raise _no_answer(f"The scheduler's file {scheduler}", "did not appear with an address")


def _is_host_and_port(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit()


def _no_answer(what: str, fact: str = "did not answer") -> ClusterError:
    return ClusterError(
        f"{what} {fact} within {CONNECT_SECONDS:g} seconds.",
        "Check that the scheduler runs and that its address is right, then run it again.",
    )
