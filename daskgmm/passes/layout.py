"""How the passes of a fit are cut."""

from collections.abc import Sequence

from daskgmm.data.source import Source
from daskgmm.passes.engine.grouping import bundled
from daskgmm.passes.groups import group_measured


def laid_out(
    source: Source, lengths: Sequence[int], cost_a_row: float
) -> tuple[Source, list[range]]:
    """Rows in parts that are worth their overhead, in groups that are worth a task's.

    Parameters
    ----------
    source : Source
    lengths : sequence of int
        Rows of each part, which the source itself may not know.
    cost_a_row : float
        Of a pass, in seconds.
    """
    found = bundled(source, lengths)
    groups = group_measured(found.lengths or (), cost_a_row, in_memory=found.in_memory)
    return found, groups
