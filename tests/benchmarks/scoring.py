"""Rows a second from Parquet to labelled Parquet, against the loop that a user would write."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daskgmm import GaussianMixture
from tests.benchmarks.result import Result
from tests.benchmarks.works import Work, unit

WORK = Work("scoring", 8_000_000, 20, 8, "full", unit)
ROW_GROUP = 500_000

LOOP = """
import sys
import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

model, source, target = sys.argv[1:]
model = joblib.load(model)
writer = None
for batch in pq.ParquetFile(source).iter_batches(65536):
    rows = np.column_stack([column.to_numpy() for column in batch.columns])
    probabilities = model.predict_proba(rows)
    columns = {f"probability_{k}": own for k, own in enumerate(probabilities.T)}
    table = pa.table({"label": probabilities.argmax(axis=1).astype("int32"), **columns})
    writer = writer or pq.ParquetWriter(target, table.schema)
    writer.write_table(table)
writer.close()
"""


def measure(size: float) -> Iterator[Result]:
    """Labels and probabilities of every row."""
    n_rows = int(WORK.rows * size)
    with TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, n_rows)
        ours = _seconds(
            [sys.executable, "-m", "daskgmm", "predict", "model.safetensors", "rows.parquet",
             "-o", "ours", "--with", "labels,probabilities", "--no-progress"], folder,
        )  # fmt: skip
        loop = [sys.executable, "-c", LOOP, "model.joblib", "rows.parquet", "loop.parquet"]
        peers = {"pyarrow and scikit-learn": n_rows / _seconds(loop, folder)}
        _compare(folder)
        yield Result(
            "scoring", f"{n_rows:,} x {WORK.n_features}, K = {WORK.n_components}, whole commands",
            n_rows / ours, peers, "rows/s", 3.0, larger_is_better=True,
        )  # fmt: skip


def _prepare(folder: Path, n_rows: int) -> None:
    first = replace(WORK, rows=min(n_rows, ROW_GROUP))
    rows = first.data()
    model = GaussianMixture(max_iter=2, **first.start(rows)).fit(rows)
    model.save(folder / "model.safetensors")
    joblib.dump(model.to_sklearn(), folder / "model.joblib")
    table = pa.table({f"x{d}": rows[:, d] for d in range(WORK.n_features)})
    with pq.ParquetWriter(folder / "rows.parquet", table.schema) as writer:
        for start in range(0, n_rows, len(rows)):
            writer.write_table(table.slice(0, n_rows - start))


def _seconds(command: Sequence[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def _compare(folder: Path) -> None:
    ours, theirs = pq.read_table(folder / "ours"), pq.read_table(folder / "loop.parquet")
    if ours.column_names != theirs.column_names or len(ours) != len(theirs):
        raise AssertionError("the two outputs differ")
    np.testing.assert_allclose(ours["probability_0"], theirs["probability_0"], atol=1e-9)
