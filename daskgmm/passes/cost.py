"""What the scheduler, and the moments on their way, add to the kernels of a pass.

How many parts one task takes.

Dask's cost follows the number of tasks (about 3 ms each on a busy scheduler), so a task takes
several parts until it is worth its overhead. The grouping follows from the data alone, never
from the workers that happen to be alive: sums keep their shape on one worker or twenty.
"""

import math
from dataclasses import dataclass

from daskgmm.passes.engine.graph import FAN_IN


@dataclass(frozen=True)
class PassCost:
    """Seconds of a pass as measurements on 1 to 1,000 workers have it.

    Parameters
    ----------
    a_task, a_meeting, exponent : float
        A task of the tree takes the scheduler ``a_task + a_meeting * workers ** exponent``
        seconds.
    a_partition : float
        A partition, in seconds.
    a_byte : float
        A byte of moments from one process to another, unpickled and added, in seconds.
    """

    a_task: float
    a_meeting: float
    a_partition: float
    exponent: float
    a_byte: float = 0.0

    def scheduler(self, tasks: int, partitions: int, workers: int) -> float:
        """Seconds in which the scheduler is busy with a pass."""
        in_tree, meetings, partitions_ = factors(tasks, partitions, workers, self.exponent)
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
            Of a task's kernel, in seconds.
        bytes_ : int
            Of a task's moments.
        threads : int
            Tasks at a time of each worker.
        """
        handing = self.scheduler(tasks, partitions, workers)
        kernels = math.ceil(tasks / (workers * threads)) * wait
        # Whichever is the longer; then the last task that was handed out, or its handing out.
        busy = max(handing, kernels) + min(handing, wait)
        levels = math.ceil(math.log2(max(tasks, 2)) / math.log2(FAN_IN))
        # A worker takes in its share of all moments, and the last ones level by level.
        return busy + bytes_ * self.a_byte * (tasks / workers + levels * FAN_IN)


def factors(tasks: int, partitions: int, workers: int, exponent: float) -> tuple[float, ...]:
    """What the scheduler's coefficients are multiplied with."""
    in_tree = tasks * (1 + 1 / (FAN_IN - 1))
    return in_tree, in_tree * workers**exponent, float(partitions)


MEASURED = PassCost(0.368e-3, 0.226e-3, 0.64e-6, 0.5, 0.354e-9)
"""As ``python -m tests.benchmarks scale`` found it, scheduler and workers in one process: an upper
bound where each has a machine of its own."""


def seconds_a_row(n_features: int, length: int, n_components: int) -> float:
    """Rough cost of one row of a pass on one core (seconds), for feature vectors of `length`.

    As the compiled kernel takes it: the products, then features, exponentials and reading.
    """
    products = 4 * length * n_components / 40e9
    rest = (0.3 * length + 1.5 * n_components + n_features) / 1e9
    return products + rest
