"""Plans that measure briefly."""

import pytest

from daskgmm.jobs.planning import benchmark


@pytest.fixture(scope="module")
def brief():
    """Passes of about a thousandth of a second are measured: how exact the rate is matters not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "_SECONDS", 1e-3)
        yield
