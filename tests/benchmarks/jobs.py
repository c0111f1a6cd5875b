"""Whole jobs: from a file to a model file, each in a process of its own with its defaults.

Python keeps the bytecode of what it imports, as where packages are installed the usual way.
Starts and stopping are each library's own, so the mean log-density of the rows that each reached
(nats) is told beside its seconds.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

import daskgmm
from tests.benchmarks.result import Result
from tests.benchmarks.spark import spark_is_here
from tests.benchmarks.works import CORRELATED, Work

WORK = CORRELATED[0]
WANTED = 2.0
IRIS = Path(__file__).parents[2] / "examples" / "data" / "iris.csv"
IRIS_GOAL = 1.5
"""Seconds of a fit of two columns of Iris."""

SCIKIT_LEARN = """
import sys
import joblib
import pyarrow.parquet as pq
from sklearn.mixture import GaussianMixture

source, target, k = sys.argv[1:]
rows = pq.read_table(source).to_pandas().to_numpy()
model = GaussianMixture(int(k), random_state=0).fit(rows)
joblib.dump(model, target)
print(model.lower_bound_)
"""

DAAL4PY = """
import sys
import daal4py
import numpy as np
import pyarrow.parquet as pq

source, target, k = sys.argv[1:]
rows = pq.read_table(source).to_pandas().to_numpy()
start = daal4py.em_gmm_init(nComponents=int(k)).compute(rows)
covariances = [start.covariances[i] for i in range(int(k))]
fit = daal4py.em_gmm(nComponents=int(k), maxIterations=100, accuracyThreshold=1e-3)
found = fit.compute(rows, start.weights, start.means, covariances)
np.savez(target, weights=found.weights, means=found.means, covariances=found.covariances)
print(found.goalFunction[0, 0] / len(rows))
"""

SPARK = """
import os
import sys
from pyspark.ml.clustering import GaussianMixture
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession

source, target, k = sys.argv[1:]
options = {
    "spark.driver.memory": "8g", "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
}
builder = SparkSession.builder.master(f"local[{os.cpu_count()}]").config(map=options)
with builder.getOrCreate() as spark:
    read = spark.read.parquet(source).repartition(8)
    rows = VectorAssembler(inputCols=read.columns, outputCol="features").transform(read)
    rows = rows.select("features").cache()
    model = GaussianMixture(k=int(k), seed=0).fit(rows)
    model.save(target)
    print(model.summary.logLikelihood / rows.count())
"""


def measure(size: float) -> Iterator[Result]:
    """Ours by the command, after a first run that may compile; then each peer once."""
    work = WORK.of_size(size)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(work, folder / "rows.parquet")
        for run in ("first", "second"):
            seconds = _seconds(_command("rows.parquet", run, work.n_components), folder)[0]
        bounds = {"ours": daskgmm.load(folder / run / "model.safetensors").lower_bound_}
        peers = {}
        for peer, script in _peers().items():
            target = f"{peer}.model"
            command = [sys.executable, "-c", script, "rows.parquet", target]
            peers[peer], said = _seconds([*command, str(work.n_components)], folder)
            bounds[peer] = float(said.split()[-1])
        columns = ("--columns", "sepal_length,sepal_width")
        iris = _seconds([*_command(str(IRIS), "iris", 3), *columns], folder)[0]
    told = ", ".join(f"{name} {bound:.3f}" for name, bound in bounds.items())
    yield Result("jobs", f"{work.title} (nats a row: {told})", seconds, peers, "s", WANTED)
    yield Result("jobs", "Iris: 150 x 2, K = 3", iris, {"goal": IRIS_GOAL}, "s", 1.0)


def _peers() -> dict[str, str]:
    found = {"scikit-learn": SCIKIT_LEARN}
    if find_spec("daal4py"):
        found["daal4py"] = DAAL4PY
    if spark_is_here():
        found["Spark"] = SPARK
    return found


def _command(source: str, run: str, n_components: int) -> list[str]:
    return [
        sys.executable, "-m", "daskgmm", "fit", source, "-o", run, "--components",
        str(n_components), "--seed", "0", "--no-progress",
    ]  # fmt: skip


def _seconds(command: Sequence[str], folder: Path) -> tuple[float, str]:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, env=own)
    return time.perf_counter() - began, done.stdout


def write(work: Work, path: Path) -> None:
    """Write a work's rows as one Parquet file."""
    rows = work.data()
    pq.write_table(pa.table({f"x{d}": own for d, own in enumerate(rows.T)}), path)
