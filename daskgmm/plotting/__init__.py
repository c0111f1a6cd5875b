"""Figures of a fitted mixture: its components, its fit, its answers, and its history.

They read public fitted attributes only, so scikit-learn's mixtures can be drawn as well.
Matplotlib is an extra, imported when a figure is drawn; its object interface needs no display
and, unlike ``pyplot``, keeps no state that threads would share.
"""

from daskgmm.plotting.convergence import convergence
from daskgmm.plotting.explanation import explanation
from daskgmm.plotting.files import save
from daskgmm.plotting.matrix import matrix
from daskgmm.plotting.merging import merging
from daskgmm.plotting.mixture import scatter
from daskgmm.plotting.nights import nights
from daskgmm.plotting.overlay import overlay
from daskgmm.plotting.profiles import profiles
from daskgmm.plotting.selection import selection

__all__ = [
    "convergence", "explanation", "matrix", "merging", "nights", "overlay", "profiles", "save",
    "scatter", "selection",
]  # fmt: skip
