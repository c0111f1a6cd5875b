"""The centred loop with all tiles sent one way, whatever that costs."""

from functools import partial

import numpy as np

from daskgmm.model.kernels.arguments import Strategy
from daskgmm.model.kernels.screened import ScreenedKernel

SCREENED = partial(ScreenedKernel, strategy=Strategy(by_features=False, screened=True, most=np.inf))
"""Only the pairs that bounds leave."""

BY_PRODUCT = partial(
    ScreenedKernel,
    strategy=Strategy(by_features=False, screened=True, most=np.inf, by_product=True),
)
"""Only the pairs that products over features leave: for variances along the axes."""

ALL_PAIRS = partial(ScreenedKernel, strategy=Strategy(by_features=False, screened=False, most=0.0))
"""Every pair, about the components' means."""

LISTED = partial(
    ScreenedKernel, strategy=Strategy(by_features=False, screened=False, most=0.0, listed=1.0)
)
"""The logits of every pair, and sums of those that count."""

MIXED = partial(ScreenedKernel, strategy=Strategy(by_features=True, screened=True, most=0.5))
"""Tiles in which half of the pairs count by features, the others by pairs."""

STRATEGIES = {"screened": SCREENED, "all pairs": ALL_PAIRS, "listed": LISTED, "mixed": MIXED}
