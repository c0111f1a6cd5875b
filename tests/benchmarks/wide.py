"""Seconds an EM iteration on wide rows, where products of features give way to whitening."""

from collections.abc import Iterator

from tests.benchmarks.iteration import daal, limit, ours, scikit_learn
from tests.benchmarks.result import Result
from tests.benchmarks.works import Work, unit

ROWS = 20_000
WIDTHS = (100, 200, 500, 1000)


def measure(size: float) -> Iterator[Result]:
    """Full covariances, K = 4."""
    for width in WIDTHS:
        work = Work("wide", int(ROWS * size), width, 4, "full", unit)
        rows = work.data()
        start = work.start(rows)
        seconds, _ = ours(rows, start)
        peers = {"scikit-learn": scikit_learn(rows, start), "daal4py": daal(rows, start)}
        yield Result("wide", work.title, seconds, peers, "s", 1 / 1.2, limit(work, "float64"))
