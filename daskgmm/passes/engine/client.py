"""The Dask client that passes run on: the user's active one if there is one, or a chosen one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any

import dask

from daskgmm.errors import ConfigurationError
from daskgmm.passes.engine.workers import giving_up

_NOT_CHOSEN = object()
_chosen: ContextVar[Any] = ContextVar("client that passes run on", default=_NOT_CHOSEN)


@contextmanager
def running_on(client: Any) -> Iterator[None]:
    """Run the block's passes on a client, or with ``None`` in this process.

    The client that is active in the process, or that of the task which calls, is then ignored.
    """
    token = _chosen.set(client)
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def settled() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Run all of the block's passes on the client that is active when it begins, if one is.

    If that client is closed, passes then fail; they would otherwise go on in this process, which
    does not have the rows that the cluster holds.

    Yields
    ------
    callable
        Returns a context manager in which passes run as they did before the block.
    """
    before, client = _chosen.get(), active_client()
    with nullcontext() if client is None else running_on(client):
        yield partial(running_on, before)


@contextmanager
def as_passes_do() -> Iterator[None]:
    """Run the Dask collections that the block computes where passes run."""
    client = _chosen.get()
    if client is _NOT_CHOSEN:
        yield
    elif client is None:
        with dask.config.set(scheduler="threads"):
            yield
    else:
        try:
            with client.as_current(), giving_up(client):
                yield
        finally:
            _forget_if_closed(client)


def _forget_if_closed(client: Any) -> None:
    """Take a client that was closed in the meantime out of Dask's configuration again."""
    from distributed.client import default_client

    if client.status != "closed":
        return
    try:
        default_client()
    except ValueError:
        dask.config.set(scheduler=None)


def active_client() -> Any:
    """The distributed client that passes run on in this context, or None.

    Raises
    ------
    ConfigurationError
        The active client is asynchronous.
    """
    if _chosen.get() is not _NOT_CHOSEN:
        return _chosen.get()
    distributed = sys.modules.get("distributed")
    # A default client sets "dask.distributed"; any other name was chosen by the user.
    if distributed is None or dask.config.get("scheduler", None) not in (None, "dask.distributed"):
        return None
    try:
        client = distributed.get_client()
    except ValueError:
        return None
    if client.asynchronous:
        raise ConfigurationError(
            "The active Dask client is asynchronous.",
            "Use a Client without asynchronous=True, or call from a thread of its own.",
        )
    return client
