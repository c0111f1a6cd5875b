"""Small searches for starts in as many parts as large ones have."""

import pytest

from daskgmm.model import parallel
from daskgmm.training import kmeans
from daskgmm.training.refinement import partial, shares


@pytest.fixture
def in_many_parts(monkeypatch):
    """All that may be spread over threads is."""
    for module, name, value in (
        (parallel, "_WORTH_A_PART", 1.0),
        (parallel, "FEWEST_ROWS", 50),
        (parallel, "_SLICE_VALUES", 1),
        (kmeans, "_DISTANCES", 256),
        (partial, "_FEATURE_VALUES", 2**10),
        (partial, "_WHITENED_VALUES", 2**10),
        (shares, "PAIRS_TOGETHER", 2**8),
    ):
        monkeypatch.setattr(module, name, value)
