"""Plans that measure briefly."""

import pytest

from daskgmm.jobs.planning import benchmark


@pytest.fixture(scope="module")
def brief():
    """Measure passes of about a thousandth of a second: these tests need no exact rate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "_SECONDS", 1e-3)
        yield
