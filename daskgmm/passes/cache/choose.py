"""The caches for decoded blocks by their names, and the choice that ``cache="auto"`` makes."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, TypeAlias

from dask.utils import format_bytes

from daskgmm.data.source import Source
from daskgmm.data.storage import scratch
from daskgmm.errors import ConfigurationError
from daskgmm.passes.cache.disk import DiskStage
from daskgmm.passes.cache.memory import MemoryStage
from daskgmm.passes.cache.parts import Stage, StagedPart, Staging, end
from daskgmm.passes.engine.client import active_client
from daskgmm.passes.engine.keys import token
from daskgmm.passes.engine.persist import decoded
from daskgmm.passes.memory import Room, TaskSizes, room_for, rows_bytes

logger = logging.getLogger(__name__)

Cache: TypeAlias = Callable[[Source, TaskSizes], AbstractContextManager[Source]]


def kept(source: Source, name: str, task: TaskSizes) -> AbstractContextManager[Source]:
    """The same rows, with their decoded blocks cached until the ``with`` block ends.

    Rows that are in memory already are not cached.

    Parameters
    ----------
    source : Source
    name : str
        One of `CACHES`.
    task : TaskSizes
        The size of a task of the passes.
    """
    return CACHES[name](source, task) if source.decoded else nullcontext(source)


def check_cache(name: Any) -> str:
    """Return the name of a cache after a check that there is one.

    Raises
    ------
    ConfigurationError
        There is no cache of this name.
    """
    if not isinstance(name, str) or name not in CACHES:
        known = ", ".join(CACHES)
        raise ConfigurationError(f"cache={name!r} is not known.", f"Use one of: {known}.")
    return name


def _auto(source: Source, task: TaskSizes) -> AbstractContextManager[Source]:
    name, why = choose(rows_bytes(source), room_for(task))
    logger.debug("Decoded rows are cached: %s. %s", name, why)
    return CACHES[name](source, task)


def choose(wanted: int | None, room: Room) -> tuple[str, str]:
    """Name of the cache for so many bytes of rows, and the reason in a sentence.

    Parameters
    ----------
    wanted : int or None
        Bytes of all rows; ``None`` where that is not known before they are read.
    room : Room
    """
    memory, disk = format_bytes(room.memory), format_bytes(room.disk)
    if wanted is None:
        if room.disk == 0:
            return "none", "Their size is not known, and the disk is full."
        return "disk", f"Their size is not known; {disk} of disk are free."
    rows = format_bytes(wanted)
    if wanted <= room.memory:
        return "memory", f"They take {rows}, and {memory} of memory are free for them."
    least = f"They take {rows}; {memory} of memory and {disk} of disk are free for them."
    return ("disk" if wanted <= room.disk else "none"), least


def _none(source: Source, task: TaskSizes) -> AbstractContextManager[Source]:
    del task
    return nullcontext(source)


def _disk(source: Source, task: TaskSizes) -> AbstractContextManager[Source]:
    del task
    return _staged(source, DiskStage)


def _memory(source: Source, task: TaskSizes) -> AbstractContextManager[Source]:
    client = active_client()
    if client is None:
        return _staged(source, MemoryStage)
    return decoded(source, client, room_for(task).memory)


@contextmanager
def _staged(source: Source, begin: Callable[[str], Stage]) -> Iterator[Source]:
    """The same rows in parts that each process puts into a stage as it reads them."""
    staging, client = Staging(token(), begin), active_client()
    parts = [StagedPart(part, index, staging) for index, part in enumerate(source.parts)]
    try:
        yield replace(source, parts=parts)
    finally:
        _end(staging.token)
        if client is not None:
            _end_on_workers(client, staging.token)


def _end(own: str, dask_worker: Any = None) -> None:
    end(own)
    # Processes of this machine that have died may have left files behind.
    scratch.remove(own, scratch.root(dask_worker))


def _end_on_workers(client: Any, own: str) -> None:
    try:
        client.run(_end, own, on_error="ignore")
    except Exception as error:  # noqa: BLE001  it must not hide the error that ended the fit
        logger.info("The workers' caches could not be removed: %s", error)


CACHES: dict[str, Cache] = {"auto": _auto, "memory": _memory, "disk": _disk, "none": _none}
"""Caches by the names that users give them; ``"auto"`` chooses by size."""
