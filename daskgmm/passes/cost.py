"""The time that a pass takes: arithmetic a row, Dask's scheduler, and moments between processes.

Seconds a row decide how parts are grouped into tasks and whether compiled kernels are worth
loading; `PassCost` forecasts a pass on a cluster of any size.
"""

import math
from dataclasses import dataclass

from daskgmm.passes.engine.graph import FAN_IN, fan_in


@dataclass(frozen=True)
class PassCost:
    """Coefficients of a pass's seconds, measured on 1 to 1,000 workers.

    Parameters
    ----------
    a_task, a_meeting, exponent : float
        A task of the tree takes the scheduler ``a_task + a_meeting * workers ** exponent``
        seconds.
    a_partition : float
        Seconds of the scheduler for a partition.
    a_byte : float
        Seconds to send a byte of moments to another process, unpickle it and add it.
    """

    a_task: float
    a_meeting: float
    a_partition: float
    exponent: float
    a_byte: float = 0.0

    def scheduler(self, tasks: int, partitions: int, workers: int, most: int = FAN_IN) -> float:
        """Seconds that a pass keeps the scheduler busy."""
        in_tree, meetings, partitions_ = factors(tasks, partitions, workers, self.exponent, most)
        return self.a_task * in_tree + self.a_meeting * meetings + self.a_partition * partitions_

    def seconds(
        self,
        tasks: int,
        partitions: int,
        workers: int,
        wait: float,
        bytes_: int,
        *,
        threads: int = 1,
    ) -> float:
        """Seconds of a pass: kernels while the scheduler hands them out, then the tree.

        Parameters
        ----------
        tasks, partitions, workers : int
        wait : float
            Seconds of a task's kernel.
        bytes_ : int
            Bytes of a task's moments.
        threads : int
            Tasks that a worker runs at a time.
        """
        most = fan_in(bytes_)
        handing = self.scheduler(tasks, partitions, workers, most)
        kernels = math.ceil(tasks / (workers * threads)) * wait
        # The longer of the two decides; add the task handed out last, or its handing out.
        busy = max(handing, kernels) + min(handing, wait)
        levels = math.ceil(math.log2(max(tasks, 2)) / math.log2(most))
        # A worker receives its share of all moments, and the last ones level by level.
        return busy + bytes_ * self.a_byte * (tasks / workers + levels * most)


def factors(
    tasks: int, partitions: int, workers: int, exponent: float, most: int = FAN_IN
) -> tuple[float, ...]:
    """Factors of the scheduler's coefficients: tasks, tasks times workers, partitions.

    A task of the tree adds up at most `most` results.
    """
    in_tree = tasks * (1 + 1 / (most - 1))
    return in_tree, in_tree * workers**exponent, float(partitions)


MEASURED = PassCost(0.368e-3, 0.226e-3, 0.64e-6, 0.5, 0.354e-9)
"""Measured by ``python -m tests.benchmarks scale``, scheduler and workers in one process; an upper
bound where each has a machine of its own."""

_SURVEY_SECONDS_A_VALUE = 4e-9

FIT_WORTH_COMPILING = 0.02
"""Seconds of arithmetic in one pass of a fit above which the compiled kernel is loaded: a fit makes
many passes, and loading it takes about a second once."""

PASS_WORTH_COMPILING = 1.0
"""Seconds that NumPy takes for a single pass (a prediction) above which the compiled kernel is
loaded: importing numba and loading the loop take nearly as long."""

_UNKNOWN_ROWS = 10**6
"""Rows that a dask collection is taken to have where nobody knows: fewer are mostly in memory."""


def survey_seconds_a_row(n_features: int) -> float:
    """Rough cost of one row of the survey on one core (seconds)."""
    return n_features * _SURVEY_SECONDS_A_VALUE


def scoring_seconds_a_row(n_features: int, n_components: int) -> float:
    """Rough cost of one row of a pass that scores rows, for any covariance type (seconds)."""
    return estimated_seconds_a_row(n_features, n_features**2, n_components)


def worth_compiling(n_rows: int | None, n_features: int, length: int, n_components: int) -> bool:
    """Whether predictions for so many rows, or for a collection, take long enough.

    NumPy takes some nanoseconds for each pair of a row and a component, more for each column, and
    the product of their feature vectors, with `length` numbers: measured on works of the benchmark
    ``iteration``, within 1.5 times.
    """
    a_pair = 10e-9 + 1.3e-9 * n_features + 2 * length / 40e9
    rows = _UNKNOWN_ROWS if n_rows is None else n_rows
    return rows * n_components * a_pair > PASS_WORTH_COMPILING


def estimated_seconds_a_row(n_features: int, length: int, n_components: int) -> float:
    """Rough cost of one row of a pass on one core (seconds), for feature vectors of `length`.

    As the compiled kernel takes it: the products, then features, exponentials and reading.
    """
    products = 4 * length * n_components / 40e9
    rest = (0.3 * length + 1.5 * n_components + n_features) / 1e9
    return products + rest
