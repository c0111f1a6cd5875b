"""Run benchmarks and print one table of ratios: ours, each peer, the hardware's limit."""

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from daskgmm.jobs.doctor.processor import vector_width
from tests.benchmarks.hardware import processor
from tests.benchmarks.result import Result

Benchmark = Callable[..., Iterator[Result]]

GOALS = {
    "passes": "full passes until a fit ends",
    "optima": "how often fits find the best optimum, and at what cost",
    "iteration": "seconds an EM iteration on rows in memory",
    "bayesian": "seconds of a variational fit on rows in memory",
    "strategy": "nanoseconds a row and component, by each way through the loop",
    "missing": "CPU seconds a pass over rows with missing values",
    "wide": "the same on up to 1,000 features",
    "quantisation": "CPU seconds a pass over embeddings, thousands of components, beside FAISS",
    "sizes": "seconds a pass against the number of components and of features",
    "jobs": "seconds from Parquet to a model file, whole processes",
    "scoring": "rows a second from Parquet to labelled Parquet",
    "many": "many models in the same passes over Parquet",
    "out_of_core": "seconds a pass on Parquet larger than the workers' memory",
    "staged": "seconds a pass over 12 GB staged on disk, beside reading and computing alone",
    "scheduling": "seconds a pass over 10,000 tiny partitions",
    "watching": "seconds a pass that is watched, and one that is not",
    "scale": "where the scheduler limits a pass, measured and predicted",
    "thousand": "a pass on a thousand workers, task by task through the graph of a fit",
}
"""Modules of this package, each with ``measure(size)``, and what they measure."""

HEADER = ("goal", "work", "ours", "peers", "limit", "ratio", "wanted", "met")


def line(result: Result) -> str:
    """One row of the table."""
    peers = ", ".join(f"{name} {value:.4g}" for name, value in result.peers.items())
    limit = "" if result.limit is None else f"{result.limit:.3g}"
    cells = (
        result.goal, result.work, f"{result.ours:.4g} {result.unit}", peers, limit,
        f"{result.ratio:.2f}", f"{result.wanted:.3g}", "yes" if result.met else "no",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run the chosen benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "goals", nargs="*", metavar="GOAL",
        help=f"of {', '.join(GOALS)}; iteration:P,wine for those of its works alone",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=float, default=1.0,
        help="share of the full rows (default 1; 0.2 finishes in under 10 minutes on 2 cores)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the table there as well")
    options = parser.parse_args()
    if unknown := {goal.partition(":")[0] for goal in options.goals} - set(GOALS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    warnings.simplefilter("ignore")  # nobody converges in so few passes
    print(f"On {processor()}.", *(finding.fact for finding in vector_width(None)), end="\n\n")
    print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}", flush=True)
    results = []
    for goal in options.goals or GOALS:
        name, _, works = goal.partition(":")
        measure: Benchmark = import_module(f"tests.benchmarks.{name}").measure
        for result in measure(options.size, works.split(",")) if works else measure(options.size):
            results.append(result)
            print(line(result), flush=True)
    if options.json:
        options.json.write_text(json.dumps([result.record() for result in results], indent=2))


if __name__ == "__main__":
    main()
