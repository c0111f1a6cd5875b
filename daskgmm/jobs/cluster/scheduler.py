"""Connections to the scheduler of a running cluster."""

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
    """Connect to a scheduler, and make its client the default one in the block.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler, or the file that it wrote its address to.
    tls : Tls or None
        Certificates for an encrypted connection; by default those of Dask's configuration.

    Raises
    ------
    ClusterError
        The scheduler doesn't answer within `CONNECT_SECONDS`, or refuses the connection.
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
        # ImportError: incompatible versions. An error of TLS may be OSError and ValueError at once.
        fact = refusal(error, security)
        if fact is None and isinstance(error, ValueError):
            raise ConfigurationError(
                f"{address!r} is not the address of a scheduler: {error}.",
                "Give an address such as tcp://host:8786, or the scheduler's file.",
            ) from error
        raise _no_answer(
            f"The scheduler {address}", fact or f"did not answer {_in_time()}"
        ) from error
    with client:
        yield client


def _greet(address: str, seconds: float, encryption: Mapping[str, Any]) -> None:
    """Raise OSError unless a scheduler answers within `seconds`.

    Dask's client waits for ever for a scheduler that accepts the connection and never answers.
    """
    from distributed.comm import connect
    from distributed.utils import LoopRunner

    async def greet() -> None:
        comm = await asyncio.wait_for(connect(address, timeout=seconds, **encryption), seconds)
        comm.abort()

    LoopRunner().run_sync(greet)  # in another thread, as this one may have an event loop


def _address(scheduler: str, deadline: float) -> str:
    """Return the address, read from the scheduler's file if one is named; wait for that file."""
    if "://" in scheduler or _is_host_and_port(scheduler):
        return scheduler
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(from_json(Path(scheduler).read_bytes())["address"])
        time.sleep(0.05)
    fact = f"did not exist, or held no address, {_in_time()}"
    raise _no_answer(f"The scheduler's file {scheduler}", fact)


def _is_host_and_port(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdigit()


def _in_time() -> str:
    return f"within {CONNECT_SECONDS:g} seconds"


def _no_answer(what: str, fact: str) -> ClusterError:
    return ClusterError(
        f"{what} {fact}.",
        "Check that the scheduler is running and that its address and the certificates are right, "
        "then try again.",
    )
