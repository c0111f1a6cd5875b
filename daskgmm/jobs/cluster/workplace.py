"""`workplace`: where a job's passes run: this process, an embedded cluster, or a running one."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from multiprocessing import current_process
from typing import Any
from uuid import uuid4

from daskgmm.errors import ConfigurationError
from daskgmm.jobs.cluster.classes import ClusterSpec, started_cluster
from daskgmm.jobs.cluster.dashboard import page_on, reported
from daskgmm.jobs.cluster.local import embedded
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.cluster.scheduler import connected
from daskgmm.jobs.inputs import Described, rows_of
from daskgmm.jobs.listener import Listener, Start
from daskgmm.passes.engine.client import active_client, running_on
from daskgmm.passes.engine.keys import made_for
from daskgmm.passes.engine.progress import tracking
from daskgmm.passes.engine.workers import wait_for_workers, waiting_for_workers, workers_of

SMALL_BYTES = 2**28
"""Decoded bytes below which starting a cluster takes longer than it saves."""

SMALL_FOR_ONE_PASS = 2**34
"""The same for jobs of one pass: threads read this much before a new cluster catches up."""

_ITEM_BYTES = 8
_BYTES_DECODED = 4  # decoded bytes for each byte of text or compressed columns on disk


@contextmanager
def workplace(
    resources: Resources,
    dataset: Described,
    listener: Listener,
    *,
    one_pass: bool = False,
    run_id: str | None = None,
    shown_id: str | None = None,
) -> Iterator[None]:
    """Run the block's passes over a dataset in the place that `resources` name.

    Without a scheduler or a size, passes run on the client that is active in this process, if
    there is one. Else small inputs are read in this process and others on an embedded cluster,
    or, within a Dask task, on that task's cluster.

    Parameters
    ----------
    resources : Resources
    dataset : Described
    listener : Listener
        Is called when the job waits for a cluster, when it starts, and for each pass.
    one_pass : bool
        Whether the block makes a single pass.
    run_id : str or None
        Id of the run that the passes are made for; a new one by default.
    shown_id : str or None
        Id of the run that the listener is given, where it is not `run_id`.

    Raises
    ------
    ClusterError
        The scheduler doesn't answer in time, or the workers don't start.
    ConfigurationError
        A cluster is needed and this process may not start one.
    """
    with ExitStack() as stack:
        report = resources.performance_report
        small = _decoded_bytes(dataset) < (SMALL_FOR_ONE_PASS if one_pass else SMALL_BYTES)
        stack.enter_context(waiting_for_workers(resources.worker_timeout))
        found = _place(stack, resources, listener, small=small and report is None)
        dashboard = found.dashboard if one_pass else page_on(found.client, found.dashboard)
        stack.enter_context(running_on(found.client))
        if report is not None:
            stack.enter_context(reported(found.client, report))
        stack.enter_context(made_for(run_id or uuid4().hex))
        stack.enter_context(tracking(listener.watch))
        size = (rows_of(dataset), dataset.n_features)
        listener.start(Start(*size, found.name, dashboard, shown_id or run_id))
        yield


@dataclass(frozen=True)
class _Place:
    """Place where passes run: a client's cluster, or this process."""

    client: Any = None
    name: str = "in this process"
    dashboard: str | None = None


def _place(stack: ExitStack, resources: Resources, listener: Listener, *, small: bool) -> _Place:
    if resources.scheduler is not None:
        listener.wait(f"connecting to {resources.scheduler}")
        _let_go(stack)
        client = stack.enter_context(connected(resources.scheduler, resources.tls))
        return _on(client, resources, listener)
    if resources.cluster is not None:
        return _of_class(stack, resources, listener)
    if not resources.asks_for_cluster:
        inside, client = in_task(), _users_client()
        if client is not None:
            return _on(client, resources, listener)
        if small or (not inside and resources.performance_report is None and _is_daemon()):
            return _Place()
        if inside:
            return _on(_let_go(stack), resources, listener)
    listener.wait("starting a cluster")
    return _embedded(stack, resources)


def _on(client: Any, resources: Resources, listener: Listener) -> _Place:
    listener.wait(f"waiting for workers of {client.scheduler.address}")
    wait_for_workers(client, resources.wait_for_workers or 1)
    workers = len(workers_of(client))
    return _Place(client, f"on {_workers(workers)} of {client.scheduler.address}")


def _of_class(stack: ExitStack, resources: Resources, listener: Listener) -> _Place:
    assert resources.cluster is not None  # noqa: S101  the caller looked
    spec = ClusterSpec.of(resources.cluster)
    _refuse_daemons(spec.name)
    _let_go(stack)
    listener.wait(f"starting {spec.name}")
    client = stack.enter_context(started_cluster(spec, resources.wait_for_workers))
    found = _on(client, resources, listener)
    link = getattr(client.cluster, "dashboard_link", None)
    return replace(found, dashboard=link if find_spec("bokeh") else None)


def _refuse_daemons(what: str) -> None:
    if _is_daemon():
        raise ConfigurationError(
            f"{what} was requested in a process that can't start other processes, "
            "such as a Dask worker.",
            "Leave out workers, threads, memory limit, cluster class and performance report, or "
            "give a scheduler.",
        )


def _embedded(stack: ExitStack, resources: Resources) -> _Place:
    _refuse_daemons("An embedded cluster")
    _let_go(stack)
    sizes = (resources.workers, resources.threads, resources.memory_limit)
    client = stack.enter_context(embedded(*sizes))
    name = f"on an embedded cluster of {_workers(len(client.cluster.workers))}"
    return _Place(client, name, client.cluster.dashboard_link if find_spec("bokeh") else None)


def _is_daemon() -> bool:
    return current_process().daemon


def _let_go(stack: ExitStack) -> Any:
    """Leave this task's thread, if this is a Dask task, so that its passes' tasks can use it.

    Returns the client of the task's cluster, or ``None`` outside of tasks.
    """
    _silence_dask(stack)
    if not in_task():
        return None
    from distributed import worker_client

    return stack.enter_context(worker_client())


def in_task() -> bool:
    """Whether this is within a task of a Dask worker."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


def _users_client() -> Any:
    """The synchronous client that is active in this process; ``None`` within tasks."""
    if in_task():
        return None
    try:
        return active_client()
    except ConfigurationError:  # an asynchronous client's event loop would wait for itself
        return None


def _silence_dask(stack: ExitStack) -> None:
    """Suppress Dask's warnings, such as of a port in use or of slightly different versions."""
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")


def _workers(count: int) -> str:
    return f"{count} worker{'s' * (count != 1)}"


def is_small(rows: int, n_features: int) -> bool:
    """Whether rows of shape (n, D) are fitted in this process if no cluster is asked for."""
    return _ITEM_BYTES * rows * n_features < SMALL_BYTES


def _decoded_bytes(dataset: Described) -> float:
    total = 0.0
    for file in dataset.files:
        if file.rows is not None:
            total += _ITEM_BYTES * file.rows * dataset.n_features
        elif file.bytes is not None:
            total += _BYTES_DECODED * file.bytes
        else:
            return float("inf")
    return total
