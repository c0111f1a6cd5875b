"""A cluster that is there already."""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from daskgmm.errors import ClusterError, ConfigurationError
from daskgmm.jobs.tls import Tls

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
    _check_encryption(address, encryption)
    try:
        _greet(address, max(deadline - time.monotonic(), 1.0), encryption)
        client = Client(address, timeout=CONNECT_SECONDS, security=security)
    except ValueError as error:
        raise ConfigurationError(
            f"{address!r} is no scheduler's address: {error}.",
            "Give one such as tcp://host:8786, or the scheduler's file.",
        ) from error
    except (OSError, ImportError) as error:  # the latter where versions can't work together
        raise _no_answer(f"The scheduler {address}", _fact(error)) from error
    with client:
        yield client


def _check_encryption(address: str, encryption: Mapping[str, Any]) -> None:
    encrypted = address.startswith("tls://")
    if encrypted and encryption["ssl_context"] is None:
        raise ClusterError(
            f"The scheduler {address} talks to those with a certificate only, and none was given.",
            "Give --tls-ca, --tls-cert and --tls-key, or set them in Dask's configuration.",
        )
    if not encrypted and encryption["require_encryption"]:
        raise ConfigurationError(
            f"Encryption is asked for, and the scheduler's address {address} is none for it.",
            "Give an address such as tls://host:8786, or leave the certificates out.",
        )


def _greet(address: str, seconds: float, encryption: Mapping[str, Any]) -> None:
    """Raise OSError unless a scheduler answers in time.

    A client waits without end for one that takes the connection and then says nothing.
    """
    from distributed.comm import connect

    async def greet() -> None:
        comm = await asyncio.wait_for(connect(address, timeout=seconds, **encryption), seconds)
        comm.abort()

    asyncio.run(greet())


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


def _fact(error: BaseException) -> str:
    """What the scheduler did: where TLS is what failed, or it hung up, that is known."""
    from distributed.comm import CommClosedError

    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for each in chain:
        if isinstance(each, ssl.SSLError):
            return f"was not reached by TLS ({each.reason or each})"
    if isinstance(error, CommClosedError):
        return "closed the connection, perhaps for it wants TLS or another certificate, asked"
    return "did not answer"


def _no_answer(what: str, fact: str) -> ClusterError:
    return ClusterError(
        f"{what} {fact} within {CONNECT_SECONDS:g} seconds.",
        "Check that the scheduler runs, its address and certificates, then run it again.",
    )
