"""Keywords that jobs share, and the values that they turn into."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeAlias, TypedDict, TypeVar

from daskgmm.errors import ConfigurationError
from daskgmm.jobs.inputs import Inputs
from daskgmm.jobs.listener import Listener

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
T = TypeVar("T")


class RowsOptions(TypedDict, total=False):
    """How rows are read.

    Parameters
    ----------
    columns : sequence of str, optional
        The features in order; by default all, or those of the model.
    weight_column : str, optional
        The column of sample weights.
    format : str, optional
        Of the files, where their names don't tell it.
    where : sequence of str, optional
        Conditions on partitions, such as ``"date=2026-11-21"``.
    delimiter : str, optional
        The character between the values of CSV files, where their first lines don't tell it.
    storage_options : mapping, optional
        For the stores of inputs and output.
    """

    columns: Sequence[str] | None
    weight_column: str | None
    format: str | None
    where: Sequence[str]
    delimiter: str | None
    storage_options: Mapping[str, Any]


class ReadOptions(RowsOptions, total=False):
    """How rows are read and where a job runs.

    Parameters
    ----------
    scheduler : str, optional
        A running Dask scheduler, or the file with its address.
    workers, threads : int, optional
    memory_limit : str, optional
        Of an embedded cluster.
    tls_ca, tls_cert, tls_key : str, optional
        For the scheduler; see `daskgmm.jobs.cluster.resources.Resources`.
    performance_report : str, optional
        File for Dask's report of what its cluster did.
    wait_for_workers : int, optional
    worker_timeout : float, optional
        How many workers of a cluster are waited for, and how long (seconds).
    listener : Listener, optional
        Told of what happens; see `daskgmm.jobs.listener`.
    """

    scheduler: str | None
    workers: int | None
    threads: int | None
    memory_limit: str | None
    tls_ca: str | None
    tls_cert: str | None
    tls_key: str | None
    performance_report: str | None
    wait_for_workers: int | None
    worker_timeout: float
    listener: Listener | None


class FitOptions(ReadOptions, total=False):
    """How mixtures are fitted, and what of the run directory.

    Parameters
    ----------
    init, n_init, tol, stopping, acceleration, max_iter, reg_covar, subsample, dtype, seed
        See `daskgmm.jobs.methods.Method`.
    cache, resume, force, command
        See `daskgmm.jobs.fitting.FitRequest`.
    """

    init: str
    n_init: int
    tol: float
    stopping: str
    acceleration: str | None
    max_iter: int
    reg_covar: float
    subsample: str | int | None
    dtype: str | None
    seed: int | None
    cache: str
    resume: bool
    force: bool
    command: tuple[str, ...]


class WriteOptions(ReadOptions, total=False):
    """What of an output of rows.

    Parameters
    ----------
    force : bool
        Replace rows that another command wrote.
    """

    force: bool


class PredictOptions(WriteOptions, total=False):
    """What is written of each row.

    Parameters
    ----------
    with_, keep : sequence of str
    anomaly_quantile, anomaly_threshold : float, optional
        See `daskgmm.jobs.predicting.PredictRequest`.
    """

    with_: Sequence[str]
    keep: Sequence[str] | None
    anomaly_quantile: float | None
    anomaly_threshold: float | None


class SampleOptions(WriteOptions, total=False):
    """What is drawn.

    Parameters
    ----------
    with_labels : bool
    seed : int, optional
        See `daskgmm.jobs.sampling.SampleRequest`.
    """

    with_labels: bool
    seed: int | None


class UpdateOptions(ReadOptions, total=False):
    """What of the run directory of a refreshed model.

    Parameters
    ----------
    force, command
        See `daskgmm.jobs.updating.UpdateRequest`.
    """

    force: bool
    command: tuple[str, ...]


class PlanOptions(RowsOptions, total=False):
    """What is fitted, and on what.

    Parameters
    ----------
    n_init, dtype
        See `daskgmm.jobs.methods.Method`.
    workers, threads : int, optional
    memory_limit : str, optional
        Of the cluster; by default as `daskgmm.jobs.fit` starts one on this machine.
    """

    n_init: int
    dtype: str | None
    workers: int | None
    threads: int | None
    memory_limit: str | None


def check(options: Mapping[str, Any], kind: Any) -> None:
    """Raise TypeError for a keyword that is none of a kind of options."""
    for name in options.keys() - kind.__annotations__.keys():
        raise TypeError(f"{name!r} is no option of this job.")


def build(kind: type[T], options: Mapping[str, Any], **given: Any) -> T:
    """A dataclass from those options that are fields of it, and from what is given besides."""
    names = {field.name for field in fields(kind)} - given.keys()  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names & options.keys()}, **given)


def inputs_of(paths: Paths, options: Mapping[str, Any]) -> Inputs:
    """The rows that options name."""
    several = (paths,) if isinstance(paths, str | os.PathLike) else paths
    names = tuple(os.fspath(path) for path in several)
    columns = options.get("columns")
    if isinstance(columns, str):
        raise ConfigurationError(
            f"columns is the text {columns!r}.", f"Give a list of names, such as [{columns!r}]."
        )
    return build(
        Inputs,
        options,
        paths=names,
        columns=None if columns is None else tuple(columns),
        where=tuple(options.get("where", ())),
    )
