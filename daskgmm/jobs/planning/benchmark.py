"""Time of short passes over generated rows, with the cores as busy as in the planned fit."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from threading import Event
from typing import Any

import dask
import numpy as np
from dask.utils import format_bytes

from daskgmm.data.source import Block, Floats, Source
from daskgmm.errors import ConfigurationError
from daskgmm.jobs.planning.passes import PassPlan
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.compiled import compile_ahead
from daskgmm.model.mixture import Mixture
from daskgmm.passes.engine.client import running_on
from daskgmm.passes.engine.persist import DecodedPart
from daskgmm.passes.engine.threads import threads_here
from daskgmm.passes.expectation import expect
from daskgmm.passes.memory import available_memory, worker_bytes

_PASSES = 5


def measured_seconds(
    expectation: Expectation, parts: Sequence[Sequence[Floats]], others: int = 0
) -> float:
    """Seconds of the fastest of a few passes over blocks (D, n) in memory, in one thread.

    So many others do the same meanwhile.
    """
    made = tuple(DecodedPart("generated rows", tuple(map(Block, blocks))) for blocks in parts)
    lengths = tuple(sum(block.shape[1] for block in blocks) for blocks in parts)
    n_features, dtype = len(parts[0][0]), parts[0][0].dtype
    source = Source(made, n_features, dtype, lengths=lengths, in_memory=True)

    def a_pass() -> None:
        expect(source, [range(len(made))], expectation)

    def seconds() -> float:
        began = time.thread_time()  # CPU time, as other processes may use the CPU meanwhile
        a_pass()
        return time.thread_time() - began

    with running_on(None), dask.config.set(scheduler="sync"):
        a_pass()  # loads the compiled loop and allocates its work arrays
        with _busy(a_pass, others):
            return min(seconds() for _ in range(_PASSES))


@contextmanager
def _busy(action: Callable[[], None], threads: int) -> Iterator[None]:
    """Have threads do something over and over during the block."""
    ended = Event()

    def repeat() -> None:
        while not ended.is_set():
            action()

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        futures = [pool.submit(copy_context().run, repeat) for _ in range(threads)]
        try:
            yield
        finally:
            ended.set()
    for future in futures:
        future.result()


_SECONDS = 0.3

_APART, _SPREAD, _SHAPES = 2.5, 10.0, 8
"""Largest deviations of the clusters' means; how much smaller a cluster's least deviation is than
its largest; and the number of covariances that are different, at the most."""

MOST_BYTES = 2**26
"""Bytes of rows in each pass: more than most CPU caches hold, so that they come from memory."""


_FEW_PARTS, _FEW_ROWS = 2, 8
"""Parts, and rows of each, by which the time of a part is measured that does not grow with rows."""


@dataclass(frozen=True)
class Rate:
    """Speed of a pass in one thread beside others, with rows in memory.

    Parameters
    ----------
    seconds_a_row : float
    share : float
        Share of the multiplications of all pairs of rows and components that it takes.
    seconds_a_part : float
        Seconds to return the moments of a part, and to add them to others.
    crowding : float
        How many times longer a row takes beside others than alone: cores share memory and caches,
        and some are halves of one.
    """

    seconds_a_row: float
    share: float = 1.0
    seconds_a_part: float = 0.0
    crowding: float = 1.0


def planned_rate(pass_plan: PassPlan, threads: int) -> Rate:
    """Measure the speed of a planned pass in one thread of this process.

    Parameters
    ----------
    pass_plan : PassPlan
    threads : int
        Threads of the fit. As many are busy here, or as many as there are cores, or memory.

    Raises
    ------
    ConfigurationError
        This machine has too little free memory for the measurement.
    """
    others = min(threads, threads_here(), _with_memory(worker_bytes(pass_plan.task))) - 1
    source, settings = pass_plan.source, pass_plan.settings
    plan, cost = settings.candidates[0].plan, settings.cost_a_row(source.n_features)
    compiled = settings.worth_compiling(pass_plan.rows, source.n_features)
    if compiled:
        compile_ahead(source.dtype, settings.dtype)
    random = np.random.default_rng(0)
    mixture = standard_mixture(plan.covariance, (plan.n_components, source.n_features), random)
    expectation = Expectation(
        (mixture,) * pass_plan.starts,
        Frame.identity(source.n_features),
        settings.dtype,
        np.eye(source.n_features),
        compiled=compiled,
    )
    size, wanted = pass_plan.task.block_rows, _SECONDS / (pass_plan.starts * cost)
    most = MOST_BYTES // (source.n_features * source.dtype.itemsize)
    n_blocks = max(int(min(wanted, most)) // size, 1)
    blocks = [drawn_rows(mixture, size, source.dtype, random) for _ in range(n_blocks)]
    seconds = alone = measured_seconds(expectation, [blocks])
    if others:
        seconds = max(measured_seconds(expectation, [blocks], others), alone)
    few = blocks[0][:, :_FEW_ROWS]
    a_part = measured_seconds(expectation, [[few]] * _FEW_PARTS, others) / _FEW_PARTS
    accumulator = Accumulator(expectation)
    accumulator([(blocks[0], None)])
    # Between two times that other processes lengthened there may be no difference.
    of_rows = max(seconds - a_part, seconds / 2)
    share = accumulator.share(size)
    return Rate(of_rows / (n_blocks * size), share, a_part, seconds / alone)


def _with_memory(needed: int) -> int:
    """Number of threads for which this machine has the memory, each of which needs so much."""
    available = available_memory()
    if needed > available:
        raise ConfigurationError(
            f"Measuring the speed of a pass takes {format_bytes(needed)} of memory, but only "
            f"{format_bytes(available)} are free on this machine.",
            "Plan on a machine with more memory, or for fewer components or columns.",
        )
    return available // needed


def standard_mixture(
    covariance: Covariance, shape: tuple[int, int], random: np.random.Generator
) -> Mixture:
    """Mixture of components as rows mostly have them, whose means are some deviations apart.

    Deviations fall along axes that are any where covariances are matrices, and features else.
    """
    n_components, n_features = shape
    shared = covariance.shape(1, n_features) == covariance.shape(2, n_features)
    count = 1 if shared else min(_SHAPES, n_components)
    deviations = np.geomspace(1, 1 / _SPREAD, n_features)
    if covariance.has_matrices:
        axes = np.linalg.qr(random.standard_normal((count, n_features, n_features)))[0]
        covariances = (axes * deviations**2) @ axes.swapaxes(1, 2)
    else:
        covariances = np.stack([random.permutation(deviations**2) for _ in range(count)])
    if shared:
        covariances = covariances[0]
    elif covariance.shape(count, n_features) == (count,):
        covariances = covariances.mean(axis=1)
    weights, means = np.full(count, 1 / count), np.zeros((count, n_features))
    few = Mixture.from_covariances(covariance, weights, means, covariances)
    shapes = np.arange(n_components) % count
    return Mixture(
        covariance,
        np.full(n_components, 1 / n_components),
        _APART * random.standard_normal(shape),
        covariance.of_components(few.covariances, shapes),
        covariance.of_components(few.factors, shapes),
    )


def drawn_rows(
    mixture: Mixture, n: int, dtype: np.dtype[Any], random: np.random.Generator
) -> Floats:
    """Rows (D, n) of a standard mixture."""
    labels = random.integers(mixture.n_components, size=n)
    rows, noise = mixture.means[labels], random.standard_normal((n, mixture.n_features))
    for shape in range(min(_SHAPES, mixture.n_components)):
        own = labels % _SHAPES == shape
        rows[own] += mixture.covariance.colour(noise[own], mixture.factors, shape)
    return np.ascontiguousarray(rows.T, dtype)
