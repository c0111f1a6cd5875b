"""A cluster that is there already."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from daskgmm.data.storage.json import from_json
from daskgmm.errors import ClusterError, ConfigurationError
from daskgmm.jobs.cluster.tls import Tls, check_encryption, refusal

CONNECT_SECONDS = 15.0


@contextmanager
def connected(scheduler: str, tls: Tls | None = None) -> Iterator[Any]:
    """A client of a scheduler, the default one in the block.

    Parameters
    ----------
    scheduler : str
        Its address, or the file that it wrote its address to.
    tls : Tls or None
        How the connection is encrypted; by default as Dask's configuration says.

    Raises
    ------
    ClusterError
        It doesn't answer in `CONNECT_SECONDS`, or refuses.
    ConfigurationError
        The address has no form that Dask knows.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    address = _address(scheduler, deadline)
    from distributed import Client

    tls = tls or Tls()
    if tls and "://" not in address:
        address = f"tls://{address}"
    security = tls.security()
    encryption = security.get_connection_args("client")
    check_encryption(address, encryption)
    try:
        _greet(address, max(deadline - time.monotonic(), 1.0), encryption)
        client = Client(address, timeout=CONNECT_SECONDS, security=security)
    except (OSError, ValueError, ImportError) as error:
        # The last where versions can't work together; an error of TLS may be both of the others.
        fact = refusal(error, security)
        if fact is None and isinstance(error, ValueError):
            raise ConfigurationError(
                f"{address!r} is no scheduler's address: {error}.",
                "Give one such as tcp://host:8786, or the scheduler's file.",
            ) from error
        raise _no_answer(
            f"The scheduler {address}", fact or f"did not answer {_in_time()}"
        ) from error
    with client:
        yield client


def _greet(address: str, seconds: float, encryption: Mapping[str, Any]) -> None:
    """Raise OSError unless a scheduler answers in time.

    A client waits without end for one that takes the connection and then says nothing.
    """
    from distributed.comm import connect
    from distributed.utils import LoopRunner

    async def greet() -> None:
        comm = await asyncio.wait_for(connect(address, timeout=seconds, **encryption), seconds)
        comm.abort()

    LoopRunner().run_sync(greet)  # in a thread: an event loop may run in this one


def _address(scheduler: str, deadline: float) -> str:
    """Read the address from a scheduler's file, which may be about to be written."""
    if "://" in scheduler or _is_host_and_port(scheduler):
        return scheduler
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(from_json(Path(scheduler).read_bytes())["address"])
        time.sleep(0.05)
    fact = f"did not appear with an address {_in_time()}"
    raise _no_answer(f"The scheduler's file {scheduler}", fact)


def _is_host_and_port(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit()


def _in_time() -> str:
    return f"within {CONNECT_SECONDS:g} seconds"


def _no_answer(what: str, fact: str) -> ClusterError:
    return ClusterError(
        f"{what} {fact}.",
        "Check that the scheduler runs and that its address and the certificates are right, then "
        "run it again.",
    )
