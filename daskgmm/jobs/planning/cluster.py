"""Time and memory of a fit on a number of workers."""

import math
from dataclasses import dataclass

from dask.utils import parse_bytes

from daskgmm.jobs.cluster.local import memory_share
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.planning.benchmark import Rate
from daskgmm.jobs.planning.passes import USUAL_PASSES, PassPlan, Tasks
from daskgmm.passes.cost import MEASURED
from daskgmm.passes.memory import memory_limit_for, room_under
from daskgmm.passes.memory_limits import Limit, require_limit


@dataclass(frozen=True)
class Cluster:
    """Workers of one size, and the time that a fit takes on them.

    Parameters
    ----------
    workers : int
        Number of workers.
    threads : int
        Threads of each worker.
    tasks_a_pass : int
        Tasks that read rows.
    memory_a_worker_bytes, memory_bytes : int
        Memory limit of each worker, and of all together.
    seconds_a_pass, seconds : float
        Seconds of a pass, and of a fit: the search for starts and `USUAL_PASSES`.
    """

    workers: int
    threads: int
    tasks_a_pass: int
    memory_a_worker_bytes: int
    memory_bytes: int
    seconds_a_pass: float
    seconds: float


@dataclass(frozen=True)
class Planner:
    """Computes the time and memory of a fit on any number of workers.

    Parameters
    ----------
    pass_plan : PassPlan
    data_bytes : int
        Bytes of all rows, decoded.
    threads : int
        Threads of each worker.
    rate : Rate
        Speed of a pass in one thread.
    seconds_of_step : float
        Seconds of an EM step that do not grow with rows, nor shrink with workers.
    seconds_of_starts : float
        Seconds of the search for starts.
    """

    pass_plan: PassPlan
    data_bytes: int
    threads: int
    rate: Rate
    seconds_of_step: float = 0.0
    seconds_of_starts: float = 0.0

    def seconds_a_pass(self, workers: int, *, in_memory: bool) -> float:
        """Seconds of a pass in kernels and scheduler, without the time to read rows from files."""
        tasks, rows = self.tasks(in_memory=in_memory).reading, self.pass_plan.rows
        a_task = self.rate.seconds_a_row * rows / tasks + self.rate.seconds_a_part
        return self.seconds_of_step + MEASURED.seconds(
            tasks,
            len(self.pass_plan.source.parts),
            workers,
            a_task,
            self.pass_plan.moments_bytes,
            threads=self.threads,
        )

    def tasks(self, *, in_memory: bool) -> Tasks:
        """Tasks of each pass, with the rows in the workers' memory or not."""
        return self.pass_plan.held if in_memory else self.pass_plan.read

    def memory_a_worker(self, workers: int) -> int:
        """Memory limit (bytes) with which this number of workers holds all rows."""
        share = math.ceil(self.data_bytes / workers)
        return memory_limit_for(self.pass_plan.task, self.threads, share)

    def cheapest(self, limit: int) -> Cluster | None:
        """The fewest workers of at most `limit` bytes that hold all rows, each as small as it can.

        More workers would take more memory in all, as each process takes some without rows.
        ``None`` if such workers have no room for rows.
        """
        room = room_under(limit, self.pass_plan.task, self.threads)
        if room == 0:
            return None
        workers = math.ceil(self.data_bytes / room)
        each, seconds = self.memory_a_worker(workers), self.seconds_a_pass(workers, in_memory=True)
        return Cluster(
            workers,
            self.threads,
            self.tasks(in_memory=True).reading,
            each,
            workers * each,
            seconds,
            USUAL_PASSES * seconds + self.seconds_of_starts,
        )


def limit_of(resources: Resources, threads: int, pass_plan: PassPlan) -> int:
    """Memory limit of a worker (bytes): the given one, or an equal share of this machine.

    Raises
    ------
    ConfigurationError
        The limit is too small for the fit.
    """
    given = resources.memory_limit
    limit = int(memory_share(threads) if given is None else parse_bytes(given))
    whose = "a worker's share of this machine is" if given is None else "the memory limit is"
    require_limit(pass_plan.task, Limit(limit, threads), whose)
    return limit
