"""Memory of the search for starts on a sample, in bytes."""

import math
from dataclasses import dataclass

import numpy as np

_COPIES = 6
"""Copies of the sample: as it was drawn, in the rows' order, as it is searched, standardised, and
two that a clustering or the moves need."""

_POSITION = 32
"""Bytes of a sampled row's priority, place and weight."""

_OF_A_RUN, _OF_A_STEP = 5, 10
"""Arrays of the moments' size (F, K) for each mixture that waits: its covariances and factors, of
twice that each, and its moments; and further ones for each that EM advances beside another: where
it goes, and what the loop needs of it and sums. Of one alone, what a kernel takes covers these."""

_OF_A_HELPER = 6
"""Such arrays that another thread has of each further mixture: sums, and parameters of features."""

_OF_MOVES = 24
"""Such arrays of all splits, two of each component with two halves each, and of all merges."""

_OF_A_PAIR = 1.5
"""Numbers for each pair of a row and a component by which moves are found: the logarithm of its
responsibility, and its row, which takes half of one. As many where a row is near."""

_OF_A_BOUND = 2.25
"""Numbers for each pair whose bound a thread has in memory, with whether it counts."""

_SLAB_BYTES = 2**24
"""Bytes of a thread's kernel meanwhile: see `daskgmm.model.kernels.centred.SLAB_BYTES`."""

_OF_AN_OVERLAP = 4
"""Numbers for each pair where a row is near, while it is seen which components overlap."""

_OF_A_ROW = 2.5
"""Numbers of a row of a region: its position, which takes half of one, and two responsibilities."""

_REGIONS = 4
"""Regions for each component; see `daskgmm.training.refinement.partial.REGIONS`."""

_COPIES_OF_STEPS = 4
"""Copies of a search's way in the client's process, with a scheduler there: from before a stretch
in both, and from after it as it arrives and as it is read. Writing a checkpoint takes no more."""


@dataclass(frozen=True)
class SearchSizes:
    """Sizes that the memory of a search for starts depends on.

    Parameters
    ----------
    rows : int
        Rows of the sample.
    row_bytes : int
        Bytes of a row's values.
    pairs : int
        Pairs of a row and a component whose responsibilities are in memory at a time.
    near : int
        Pairs of them where the row is near to the component, at the most.
    bounds : int
        Pairs whose logits, or bounds on them, a thread has in memory.
    runs, together : int
        Mixtures between which the search decides, and those of them that EM advances together.
    at_once : int
        Searches of different candidates, of which each thread makes one at a time.
    region_rows : int
        Rows of all regions together, at the most.
    region_bytes : int
        Bytes of EM on the rows of regions that are worked on together, or on their features.
    in_stretches : bool
        Whether each comes in stretches, with what the one before it found.
    parts, parts_together : int
        Parts of the rows in an EM step of one mixture, and of those that it advances together. The
        moments of all parts are added in order.
    """

    rows: int
    row_bytes: int
    pairs: int
    near: int
    bounds: int
    runs: int
    together: int
    at_once: int
    region_rows: int
    region_bytes: int
    in_stretches: bool = False
    parts: int = 1
    parts_together: int = 1

    @property
    def sample_bytes(self) -> int:
        """Bytes of all copies of the sample."""
        return _COPIES * self.rows * (self.row_bytes + _POSITION)

    def steps_bytes(self, result_bytes: int) -> int:
        """Bytes of what a search needs to go on elsewhere, for moments that take so many."""
        return _OF_A_RUN * (self.runs + math.ceil(self.runs / 2)) * result_bytes

    def client_bytes(self, result_bytes: int) -> int:
        """Bytes of what a search needs to go on, in the process of a client and a scheduler."""
        return _COPIES_OF_STEPS * self.at_once * self.steps_bytes(result_bytes)

    def bytes_with(
        self, result_bytes: int, kernel_bytes: int, helpers: int = 0, own_bytes: int = 0
    ) -> int:
        """Bytes of a search for mixtures whose moments and kernels take so many.

        Each thread that helps has a kernel in an EM step, of which it has so many bytes for its
        own, or feature vectors of regions where moves are found.

        The best mixture so far and the likeliest wait beside those that are advanced. Moves are
        found from one, while that before all moves waits; then all splits wait until moves are
        made. Beside them lies what came with the task of a stretch of the search: the mixtures from
        which it goes on, some of them as they were before their latest steps, and one more while
        several ends wait.
        """
        came = self.steps_bytes(result_bytes) + _OF_A_RUN * result_bytes if self.in_stretches else 0
        em = _OF_A_RUN * (self.runs + 2) * result_bytes + max(
            self._step_bytes(1, self.parts, result_bytes, helpers, own_bytes),
            self._step_bytes(self.together, self.parts_together, result_bytes, helpers, own_bytes),
        )
        if not self.pairs:
            return self.sample_bytes + came + em + kernel_bytes
        itemsize = np.dtype(np.float64).itemsize
        of_bounds = (1 + helpers) * (_OF_A_BOUND * self.bounds * itemsize + _SLAB_BYTES)
        of_near = max(
            _OF_AN_OVERLAP * self.near, _OF_A_PAIR * self.near + _OF_A_ROW * self.region_rows
        )
        pairs = math.ceil(_OF_A_PAIR * self.pairs * itemsize + max(of_bounds, of_near * itemsize))
        em_of_regions = min(self.region_bytes, _REGIONS * self.rows * result_bytes)
        made = max((1 + helpers) * em_of_regions, _OF_A_RUN * (self.runs - 2) * result_bytes)
        moves = pairs + (2 * _OF_A_RUN + _OF_MOVES) * result_bytes + made
        return self.sample_bytes + came + max(em + kernel_bytes, moves)

    @staticmethod
    def _step_bytes(
        mixtures: int, parts: int, result_bytes: int, helpers: int, own_bytes: int
    ) -> int:
        """Bytes of a step of so many mixtures in parts, beside one kernel and what waits."""
        waiting = parts * mixtures if parts > 1 else 0
        own = own_bytes + _OF_A_HELPER * (mixtures - 1) * result_bytes
        arrays = _OF_A_STEP * (mixtures - 1) + waiting
        return arrays * result_bytes + min(helpers, parts - 1) * own


NO_SEARCH = SearchSizes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
