"""Clusters of any class that a job starts, scales and closes: Slurm's, Kubernetes', a cloud's."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Self

from daskgmm.data.storage.deadline import run_within
from daskgmm.data.storage.errors import first_line
from daskgmm.errors import ClusterError, ConfigurationError
from daskgmm.jobs.cluster.local import (
    kill_workers,
    settings_for_workers,
    threads_deaf_to_interrupts,
)
from daskgmm.jobs.cluster.scheduler import CONNECT_SECONDS

CLOSE_SECONDS = 20.0
"""Most time that closing a cluster takes after an interrupt: a batch system that doesn't answer
must not keep the command from ending."""

logger = logging.getLogger(__name__)

_REMEDY = 'Give a class of clusters by its full name, such as class = "dask_jobqueue.SLURMCluster".'


@dataclass(frozen=True)
class ClusterSpec:
    """The class of a cluster, its arguments, and how it is scaled.

    Parameters
    ----------
    name : str
        Full name of the class, such as ``dask_jobqueue.SLURMCluster``.
    arguments : mapping
        Its keywords; they may hold secrets, so they are never shown or recorded.
    scale : int or None
        Number of workers.
    adapt : mapping or None
        Keywords of the cluster's method ``adapt``, such as ``minimum`` and ``maximum``.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    scale: int | None = None
    adapt: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Self:
        """Read the table ``[cluster]`` of a configuration file.

        Raises
        ------
        ConfigurationError
            It names no class, or its ``scale`` or ``adapt`` can't be used.
        """
        own = dict(table)
        name, scale, adapt = (own.pop(key, None) for key in ("class", "scale", "adapt"))
        if not isinstance(name, str):
            raise ConfigurationError("The cluster has no class.", _REMEDY)
        if scale is not None and adapt is not None:
            raise ConfigurationError(
                "The cluster has both scale and adapt.",
                "Give scale = N for a fixed number of workers, or adapt = {minimum = 1, "
                "maximum = N} for one that follows the load.",
            )
        if scale is not None and (
            not isinstance(scale, int) or isinstance(scale, bool) or scale < 1
        ):
            raise ConfigurationError(
                f"scale of the cluster is {scale!r}.", "Give a number of workers of at least 1."
            )
        if adapt is not None and not isinstance(adapt, Mapping):
            raise ConfigurationError(
                f"adapt of the cluster is {adapt!r}.",
                "Give a table, such as adapt = {minimum = 1, maximum = 20}.",
            )
        return cls(name, own, scale, adapt)

    def load(self) -> Callable[..., Any]:
        """The class.

        Raises
        ------
        ConfigurationError
            It can't be imported, or is not a class of clusters.
        """
        module, _, name = self.name.rpartition(".")
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigurationError(
                f"The cluster class {self.name!r} can't be imported: {first_line(error)}.",
                f"Install its package here. {_REMEDY}",
            ) from error
        if not (isinstance(found, type) and hasattr(found, "close") and hasattr(found, "scale")):
            raise ConfigurationError(f"{self.name} is not a class of clusters.", _REMEDY)
        return found


@contextmanager
def started_cluster(spec: ClusterSpec, least: int | None = None) -> Iterator[Any]:
    """Start a cluster for the block, scale it, and yield its client; close it on every way out.

    Parameters
    ----------
    spec : ClusterSpec
    least : int or None
        Workers that the job waits for. An adaptive cluster keeps so many, or one; one that would
        start without workers is scaled to that.

    Raises
    ------
    ConfigurationError
        The class can't be imported, or doesn't take its arguments.
    ClusterError
        The cluster doesn't start.
    """
    from distributed import Client, LocalCluster

    kind: Any = spec.load()
    # Other classes may take minutes to start, in which Ctrl-C must have its effect.
    local = issubclass(kind, LocalCluster)
    deaf = threads_deaf_to_interrupts if local else nullcontext
    # In two steps, so that there is something to close if the second one is interrupted.
    with _explaining(spec):
        cluster = kind.__new__(kind, **spec.arguments)
    client = None
    with settings_for_workers() if local else nullcontext():
        try:
            with deaf(), _explaining(spec):
                cluster.__init__(**spec.arguments)
            client = Client(cluster, timeout=CONNECT_SECONDS)
            with _explaining(spec):
                _scale(cluster, spec, least or 1)
            yield client
        except KeyboardInterrupt:
            kill_workers(cluster)
            run_within(partial(_close, client, cluster), CLOSE_SECONDS)
            raise
        except BaseException:
            _close(client, cluster)
            raise
        _close(client, cluster)


def _scale(cluster: Any, spec: ClusterSpec, least: int) -> None:
    if spec.adapt is not None:
        most = spec.adapt.get("maximum", least)
        if most < least:
            raise ConfigurationError(
                f"The cluster has at most {most} workers, and {least} are waited for.",
                "Raise maximum in adapt, or lower --wait-for-workers.",
            )
        # A job always has work; without a worker at the start it would wait for ever.
        minimum = max(spec.adapt.get("minimum", 0), least)
        cluster.adapt(**{**spec.adapt, "minimum": minimum})
    elif spec.scale is not None:
        cluster.scale(spec.scale)
    elif not getattr(cluster, "plan", True):
        cluster.scale(least)


def _close(client: Any, cluster: Any) -> None:
    """Close both; a failure of that must not hide the job's result or error."""
    for each in (client, cluster):
        try:
            if each is not None:
                each.close()
        except Exception as error:  # noqa: BLE001  a cluster's class may raise anything
            logger.warning("The cluster was not closed properly: %s.", first_line(error))


@contextmanager
def _explaining(spec: ClusterSpec) -> Iterator[None]:
    """Turn failures of a cluster's class into our errors."""
    try:
        yield
    except (ClusterError, ConfigurationError):
        raise
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{spec.name} doesn't take its arguments: {first_line(error)}.",
            "Correct the table [cluster]: its keys are the arguments of the class, with scale = N "
            "or adapt = {minimum = 1, maximum = N} beside them.",
        ) from error
    except Exception as error:
        raise ClusterError(
            f"The cluster {spec.name} did not start: {first_line(error)}.",
            "Check that its system can be reached from here and has room, and run it again.",
        ) from error
