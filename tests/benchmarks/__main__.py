"""Seconds per EM iteration on rows in memory, ours and scikit-learn's, in the same run."""

import argparse
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import median

import dask.array as da
import numpy as np
from sklearn.mixture import GaussianMixture as Peer

from daskgmm import GaussianMixture
from tests.benchmarks.works import WORKS, Work


def threads(work: Work, rows: np.ndarray, passes: int) -> float:
    """Ours in this process, on as many threads as cores."""
    model = GaussianMixture(max_iter=passes, **work.start(rows)).fit(rows)
    return median(record["seconds"] for record in model.history_)


def processes(work: Work, rows: np.ndarray, passes: int, n_workers: int) -> float:
    """Ours in worker processes of one thread that hold the rows."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        chunk = -(-len(rows) // (4 * n_workers))
        return threads(work, da.from_array(rows, chunks=(chunk, -1)).persist(), passes)


def scikit_learn(work: Work, rows: np.ndarray, passes: int) -> float:
    """scikit-learn: the difference of two fits, so that what is done once falls out."""
    seconds = []
    for extra in (0, passes):
        began = time.perf_counter()
        Peer(max_iter=1 + extra, **work.start(rows)).fit(rows)
        seconds.append(time.perf_counter() - began)
    return (seconds[1] - seconds[0]) / passes


def measure(work: Work, passes: int, n_workers: int) -> dict[str, object]:
    """One row of the table."""
    rows = work.data()
    ours = threads(work, rows, passes)
    spread = processes(work, rows, passes, n_workers)
    peer = scikit_learn(work, rows, max(passes // 4, 1))
    return {
        "work": work.name,
        "rows": work.rows,
        "D": work.n_features,
        "K": work.n_components,
        "type": work.covariance_type,
        "daskgmm, threads": round(ours, 4),
        "daskgmm, processes": round(spread, 4),
        "scikit-learn": round(peer, 4),
        "times faster": round(peer / min(ours, spread), 1),
    }


def main() -> None:
    """Measure every work and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=1.0, help="share of the rows (default 1)")
    parser.add_argument("--passes", type=int, default=8, help="EM passes timed (default 8)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--json", type=Path, help="write the table there as well")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # nobody converges in so few passes
    table = []
    for work in WORKS:
        smaller = replace(work, rows=int(work.rows * options.size))
        table.append(measure(smaller, options.passes, options.workers))
        if len(table) == 1:
            print("|", " | ".join(table[0]), "|")
            print("|", " | ".join("---" for _ in table[0]), "|")
        print("|", " | ".join(f"{value:,}" if isinstance(value, int) else str(value)
                              for value in table[-1].values()), "|", flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
