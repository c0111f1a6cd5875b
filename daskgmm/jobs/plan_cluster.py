"""A fit on workers of some size."""

import math
from dataclasses import dataclass

from dask.utils import format_bytes, parse_bytes

from daskgmm.errors import ConfigurationError
from daskgmm.estimators.prospect import USUAL_PASSES, Prospect
from daskgmm.jobs.cluster import Resources
from daskgmm.jobs.embedded import memory_share
from daskgmm.passes.room import memory_limit_for, room_under
from daskgmm.passes.scheduling import MEASURED


@dataclass(frozen=True)
class Cluster:
    """Workers of one size, and how long they take.

    Parameters
    ----------
    workers, threads : int
        How many, and of each.
    memory_a_worker_bytes, memory_bytes : int
        The limit of each, and of all together.
    seconds_a_pass, seconds : float
        Of one, and of as many as are usual.
    """

    workers: int
    threads: int
    memory_a_worker_bytes: int
    memory_bytes: int
    seconds_a_pass: float
    seconds: float


@dataclass(frozen=True)
class Planner:
    """A fit whose passes are known, on any number of workers.

    Parameters
    ----------
    prospect : Prospect
    data_bytes : int
        Of all rows.
    threads : int
        Of each worker.
    seconds_a_row : float
        Of one thread.
    """

    prospect: Prospect
    data_bytes: int
    threads: int
    seconds_a_row: float

    def seconds_a_pass(self, workers: int) -> float:
        """Of the kernels, rows lying in memory, and of the scheduler."""
        tasks, rows = self.prospect.tasks, self.prospect.rows
        return MEASURED.seconds(
            tasks,
            len(self.prospect.source.parts),
            workers,
            self.seconds_a_row * rows / tasks,
            self.prospect.moments_bytes,
            threads=self.threads,
        )

    def memory_a_worker(self, workers: int) -> int:
        """The limit under which so many workers hold all rows."""
        share = math.ceil(self.data_bytes / workers)
        return memory_limit_for(self.prospect.task, self.threads, share)

    def cheapest(self, limit: int) -> Cluster:
        """The fewest workers of at most `limit` bytes that hold all rows, none larger than needed.

        Each worker more would add the memory that a process takes without rows.
        """
        room = room_under(limit, self.prospect.task, self.threads)
        workers = math.ceil(self.data_bytes / room)
        each, seconds = self.memory_a_worker(workers), self.seconds_a_pass(workers)
        together = workers * each
        return Cluster(workers, self.threads, each, together, seconds, USUAL_PASSES * seconds)


def limit_of(resources: Resources, threads: int, prospect: Prospect) -> int:
    """Bytes that a worker may take: what was asked for, or this machine's share.

    Raises
    ------
    ConfigurationError
        That doesn't suffice for a pass.
    """
    given = resources.memory_limit
    limit = int(memory_share(threads) if given is None else parse_bytes(given))
    if room_under(limit, prospect.task, threads) == 0:
        needed = format_bytes(memory_limit_for(prospect.task, threads))
        whose = "a worker's share of this machine" if given is None else "the memory limit"
        raise ConfigurationError(
            f"A pass needs a worker with more than {needed}, and {whose} is {format_bytes(limit)}.",
            "Plan for a larger memory limit, fewer threads, or fewer components.",
        )
    return limit
