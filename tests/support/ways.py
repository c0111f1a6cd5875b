"""The centred loop with all tiles sent one way, whatever that costs."""

from functools import partial

import numpy as np

from daskgmm.model.kernels.arguments import Ways
from daskgmm.model.kernels.screened import ScreenedKernel

SCREENED = partial(ScreenedKernel, ways=Ways(by_features=False, screened=True, most=np.inf))
"""Only the pairs that bounds leave."""

WHOLE = partial(ScreenedKernel, ways=Ways(by_features=False, screened=False, most=0.0))
"""Every pair, about the components' means."""

MIXED = partial(ScreenedKernel, ways=Ways(by_features=True, screened=True, most=0.5))
"""Tiles in which half of the pairs count by features, the others by pairs."""

WAYS = {"screened": SCREENED, "whole": WHOLE, "mixed": MIXED}
