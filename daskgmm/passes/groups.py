"""How many parts one task takes.

Dask's cost follows the number of tasks (about 3 ms each on a busy scheduler), so a task takes
several parts until it is worth its overhead. The grouping follows from the data alone, never
from the workers that happen to be alive: sums keep their shape on one worker or twenty.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

SECONDS_A_TASK = 0.1
SECONDS_A_TASK_IN_MEMORY = 0.005
"""Without a scheduler in another process a task costs 0.2 ms: enough tasks for many cores."""
FEWEST_TASKS = 128
MOST_TASKS = 4096
MOST_TASKS_UNMEASURED = 512


def seconds_a_row(n_features: int, length: int, n_components: int) -> float:
    """Rough cost of one row of a pass on one core (seconds), for feature vectors of `length`."""
    products = 4 * length * n_components / 25e9
    traffic = (length + 8 * n_components + 8 * n_features) / 1e9
    return products + traffic


def group_unmeasured(n_parts: int) -> list[range]:
    """Even groups of parts whose lengths are not known yet."""
    return _even(n_parts, min(n_parts, MOST_TASKS_UNMEASURED))


def group_measured(
    lengths: Sequence[int], cost_a_row: float, *, in_memory: bool = False
) -> list[range]:
    """Groups of adjacent parts of about equal cost, each worth a task's overhead."""
    seconds = [length * cost_a_row for length in lengths]
    # What a part costs to read nobody knows: a few tasks more than the arithmetic is worth.
    fewest = 1 if in_memory else min(FEWEST_TASKS, len(lengths))
    worth = SECONDS_A_TASK_IN_MEMORY if in_memory else SECONDS_A_TASK
    wanted = int(np.clip(np.ceil(sum(seconds) / worth), fewest, MOST_TASKS))
    share = sum(seconds) / wanted
    if share == 0:
        return _even(len(lengths), min(len(lengths), wanted))
    # A part belongs to the group in which its middle lies.
    middles = [end - own / 2 for end, own in zip(accumulate(seconds), seconds, strict=True)]
    owners = [min(int(middle / share), wanted - 1) for middle in middles]
    starts = [i for i, owner in enumerate(owners) if i == 0 or owner != owners[i - 1]]
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def _even(n_parts: int, n_groups: int) -> list[range]:
    edges = [round(i * n_parts / n_groups) for i in range(n_groups + 1)]
    return [range(a, b) for a, b in pairwise(edges)]
