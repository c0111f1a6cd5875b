"""Spark's MLlib as a peer, in one process on as many threads as cores."""

import os
import shutil
import time
from collections.abc import Sequence
from importlib.util import find_spec

from tests.benchmarks.result import difference


def spark_is_here() -> bool:
    """Whether Spark and the Java that it needs are installed."""
    return find_spec("pyspark") is not None and shutil.which("java") is not None


def seconds_a_pass(
    paths: Sequence[str], names: Sequence[str], n_components: int, *, passes: int, memory: str
) -> float:
    """Seconds that Spark takes for an EM iteration over Parquet files.

    It keeps rows as it does by default: in memory, and on disk what doesn't fit.

    Parameters
    ----------
    paths, names : sequence of str
        The files, and the columns that are features.
    n_components : int
    passes : int
        By how many two fits differ.
    memory : str
        Of the virtual machine's heap.
    """
    from pyspark.ml.clustering import GaussianMixture as Peer
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import SparkSession

    options = {
        "spark.driver.memory": memory,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    session = SparkSession.builder.master(f"local[{os.cpu_count()}]").config(map=options)
    with session.getOrCreate() as running:
        running.sparkContext.setLogLevel("OFF")
        read = running.read.parquet(*paths).repartition(8)
        held = VectorAssembler(inputCols=list(names), outputCol="features").transform(read)
        held = held.select("features").cache()
        held.count()

        def fit(passes: int) -> tuple[float, int]:
            peer = Peer(k=n_components, maxIter=passes, tol=0.0, seed=0)
            began = time.perf_counter()
            found = peer.fit(held)
            return time.perf_counter() - began, found.summary.numIter

        fit(1)  # what the virtual machine compiles
        return difference(fit, passes)
