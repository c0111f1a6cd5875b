"""Fit, score and label several times more rows than the workers' memory holds.

Run ``python examples/out_of_core.py``; ``--help`` tells what can be chosen. Workers write rows
of a known mixture as Parquet, fit them, score them, and label them by the command line. It
reports how long a pass takes, where each process's memory peaked, whether a worker was
restarted or paused, and how far the fitted means are from the true ones. The exit code is 1 if
a worker was restarted or a mean was missed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from dask.utils import format_bytes, format_time, parse_bytes
from distributed import Client, LocalCluster

if TYPE_CHECKING:
    from daskgmm import GaussianMixture

ROWS_PER_GROUP = 100_000
GROUPS_PER_FILE = 10
MISSED = 0.1  # standard deviations from a true mean


@dataclass(frozen=True)
class Truth:
    """The mixture that rows are drawn from.

    Parameters
    ----------
    weights : ndarray of shape (K,)
    means : ndarray of shape (K, D)
    factors : ndarray of shape (K, D, D)
        Square roots of the covariances.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    @classmethod
    def random(cls, n_components: int, n_features: int, seed: int) -> "Truth":
        """Draw correlated clusters that touch, the heaviest three times the lightest."""
        rng = np.random.default_rng(seed)
        weights = np.linspace(1, 3, n_components)
        means = rng.normal(scale=6 / n_features**0.5, size=(n_components, n_features))
        tilts = rng.normal(scale=0.5, size=(n_components, n_features, n_features))
        return cls(weights / weights.sum(), means, np.eye(n_features) + tilts / n_features**0.5)

    def draw(self, n_rows: int, rng: np.random.Generator) -> np.ndarray:
        """Draw rows of shape (D, n), one component's after the other's."""
        parts = [
            mean[:, np.newaxis] + factor @ rng.normal(size=(len(mean), count))
            for count, mean, factor in zip(
                rng.multinomial(n_rows, self.weights), self.means, self.factors, strict=True
            )
        ]
        return np.concatenate(parts, axis=1)

    def distances(self, means: np.ndarray) -> np.ndarray:
        """Measure from each true mean to the nearest of these, in standard deviations."""
        whitened = np.linalg.solve(self.factors, (self.means[:, None] - means).swapaxes(1, 2))
        return np.linalg.norm(whitened, axis=1).min(axis=1)


def write_file(path: Path, truth: Truth, n_rows: int, seed: Sequence[int]) -> int:
    """Write one file, a row group in memory at a time; return its bytes."""
    rng = np.random.default_rng(seed)
    names = [f"x{position}" for position in range(truth.means.shape[1])]
    schema = pa.schema([(name, pa.float64()) for name in names])
    # Random digits neither compress nor repeat.
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, n_rows, ROWS_PER_GROUP):
            rows = truth.draw(min(ROWS_PER_GROUP, n_rows - start), rng)
            writer.write_table(pa.table(list(rows), schema=schema))
    return path.stat().st_size


def write_rows(client: Client, folder: Path, truth: Truth, n_rows: int, seed: int) -> int:
    """Have the workers write all files; return their bytes."""
    folder.mkdir(parents=True)
    per_file = ROWS_PER_GROUP * GROUPS_PER_FILE
    starts = range(0, n_rows, per_file)
    files = client.map(
        write_file,
        [folder / f"part-{number:05}.parquet" for number in range(len(starts))],
        [truth] * len(starts),
        [min(per_file, n_rows - start) for start in starts],
        [(seed, number) for number in range(len(starts))],
    )
    return sum(client.gather(files))


@dataclass
class Watch:
    """What was seen of the processes: the peak memory of each, by worker and process id."""

    peaks: defaultdict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def look(self, cluster: LocalCluster) -> None:
        """Note the present memory of this process and of each worker's."""
        pids = {"client": psutil.Process().pid}
        pids |= {f"worker {name}": nanny.pid for name, nanny in cluster.workers.items()}
        for name, pid in pids.items():
            try:
                memory = psutil.Process(pid).memory_info().rss if pid else 0
            except psutil.NoSuchProcess:
                continue
            self.peaks[name][pid] = max(memory, self.peaks[name].get(pid, 0))

    @property
    def restarts(self) -> int:
        """How often a worker got a new process."""
        return sum(len(processes) - 1 for processes in self.peaks.values())


@contextmanager
def watching(cluster: LocalCluster) -> Iterator[Watch]:
    """Look at the processes twenty times a second."""
    watch, done = Watch(), Event()

    def keep_looking() -> None:
        while not done.wait(0.05):
            watch.look(cluster)

    thread = Thread(target=keep_looking, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()


def pauses(client: Client) -> int:
    """Count how often the scheduler saw a worker pause for want of memory."""
    events = [event for topic in client.get_events().values() for _, event in topic]
    return sum(isinstance(event, dict) and event.get("status") == "paused" for event in events)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long it took."""
    start = time.perf_counter()
    yield
    print(f"{what}: {format_time(time.perf_counter() - start)}", flush=True)


def fit(rows: Path, n_components: int, seed: int) -> "GaussianMixture":
    """Fit and report."""
    # Not above: workers load this file too, and need not load scikit-learn with the estimator.
    from daskgmm import GaussianMixture, open_dataset

    model = GaussianMixture(n_components, n_init=10, random_state=seed)
    with timed("Fit"):
        model.fit(open_dataset(rows))
    seconds = [entry["seconds"] for entry in model.history_]
    print(
        f"  {model.n_passes_} passes over {model.n_rows_:,} rows, "
        f"{format_time(sum(seconds) / len(seconds))} for each of EM; "
        f"{'converged' if model.converged_ else 'not converged'} "
        f"at {model.lower_bound_:.6f} nats a row"
    )
    return model


def label(client: Client, model: "GaussianMixture", rows: Path, folder: Path) -> int:
    """Write the rows' labels with the command line on the same workers; return their number."""
    model.save(folder / "model.safetensors")
    arguments = ["predict", folder / "model.safetensors", rows, "-o", folder / "labels"]
    command = [
        sys.executable,
        "-m",
        "daskgmm",
        *arguments,
        "--scheduler",
        client.scheduler.address,
    ]
    subprocess.run(command, check=True)  # noqa: S603  our own command
    files = (folder / "labels").rglob("*.parquet")
    return sum(pq.read_metadata(file).num_rows for file in files)


def run(options: argparse.Namespace, folder: Path, client: Client) -> bool:
    """Write, fit, score and label; return whether every mean was found."""
    from daskgmm import open_dataset

    truth = Truth.random(options.components, options.features, options.seed)
    rows = folder / "rows"
    with timed("Write"):
        size = write_rows(client, rows, truth, options.rows, options.seed)
    total = options.workers * options.memory_limit
    print(
        f"  {options.rows:,} rows, {format_bytes(size)}: {size / total:.1f} times "
        f"the {format_bytes(total)} of all workers"
    )
    model = fit(rows, options.components, options.seed)
    with timed("Score"):
        print(f"  {model.score(open_dataset(rows)):.6f} nats a row")
    with timed("Label"):
        print(f"  {label(client, model, rows, folder):,} labels")
    distances = truth.distances(model.means_)
    print(f"Farthest true mean: {distances.max():.4f} standard deviations from a fitted one")
    return bool((distances < MISSED).all())


def report(watch: Watch, memory_limit: int, paused: int) -> None:
    """Print what memory was used."""
    for name, processes in sorted(watch.peaks.items()):
        limit = f" of {format_bytes(memory_limit)}" if name != "client" else ""
        print(f"Peak memory of {name}: {format_bytes(max(processes.values()))}{limit}")
    print(f"Workers restarted: {watch.restarts}, paused: {paused}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; rows follow from the memory unless they are given."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--workers", type=int, default=2, help="worker processes of one thread")
    add("--memory-limit", type=parse_bytes, default="512MiB", help="of each worker")
    add("--times-memory", type=float, default=4, help="size of the rows, in all workers' limits")
    add("--rows", type=int, help="number of rows, instead of --times-memory")
    add("--features", type=int, default=16, help="columns, float64")
    add("--components", type=int, default=6)
    add("--seed", type=int, default=0)
    add("--folder", type=Path, help="keep all files here, instead of a temporary folder")
    options = parser.parse_args(argv)
    if options.rows is None:
        size = options.times_memory * options.workers * options.memory_limit
        options.rows = int(size / (8 * options.features))
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; return the exit code."""
    options = parse(argv)
    with (
        tempfile.TemporaryDirectory(prefix="daskgmm-out-of-core-") as temporary,
        LocalCluster(
            n_workers=options.workers,
            threads_per_worker=1,
            memory_limit=options.memory_limit,
            processes=True,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster) as client,
        watching(cluster) as watch,
    ):
        found = run(options, options.folder or Path(temporary), client)
        report(watch, options.memory_limit, pauses(client))
    return 0 if found and not watch.restarts else 1


if __name__ == "__main__":
    sys.exit(main())
