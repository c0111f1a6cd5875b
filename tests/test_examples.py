"""The examples run as their readers run them, and their data are what they are said to be."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.image import imread
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

import daskgmm
from tests.support.paths import EXAMPLES, IRIS


def run_example(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    # The examples must find this package even where it is not installed.
    paths = [str(Path(daskgmm.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_iris_csv_has_fishers_flowers():
    flowers = pd.read_csv(IRIS)
    fishers = load_iris()
    assert np.array_equal(flowers.iloc[:, :4], fishers.data)
    assert list(flowers["species"]) == list(fishers.target_names[fishers.target])


def test_flights_are_whole_rows_in_several_row_groups():
    file = pq.ParquetFile(EXAMPLES / "data" / "flights.parquet")
    assert (file.metadata.num_rows, file.metadata.num_row_groups) == (327_346, 7)
    flights = file.read()
    assert [column.null_count for column in flights.columns] == [0] * 10
    means = flights.select(["distance", "air_time", "dep_delay", "arr_delay"]).to_pandas().mean()
    assert means.round(2).to_list() == [1048.37, 150.69, 12.56, 6.9]


@pytest.mark.slow
def test_iris_goes_from_rows_to_figures_and_again_from_the_shell(tmp_path):
    done = run_example("iris.py", tmp_path)
    assert done.returncode == 0, done.stderr
    flowers = pd.read_csv(IRIS)[["sepal_length", "sepal_width"]]
    theirs = GaussianMixture(3, random_state=0).fit(flowers)
    assert "Converged: True" in done.stdout
    (said,) = re.findall(r"Lower bound: (\S+) nats a flower\nIterations: \d", done.stdout)
    assert theirs.lower_bound_ < float(said) < theirs.lower_bound_ + 0.03  # a better optimum
    for name in ("flowers.png", "components.png", "fit.png"):
        assert np.ptp(imread(tmp_path / name)) == 1
    from_shell = daskgmm.load(tmp_path / "run")
    assert from_shell.lower_bound_ == pytest.approx(float(said), abs=1e-6)


@pytest.mark.slow
def test_iris_prints_the_folder_that_it_makes(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = run_example("iris.py")
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("daskgmm-iris-*")
    assert done.stdout.endswith(f"Figures and run: {folder}\n")


@pytest.mark.long
@pytest.mark.slow
def test_out_of_core_finds_the_means_in_more_rows_than_memory(tmp_path):
    sizes = ["--workers", "1", "--memory-limit", "512MiB", "--times-memory", "1.2"]
    sizes += ["--features", "16"]
    done = run_example("out_of_core.py", *sizes, "--components", "3", "--folder", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    n_rows = int(1.2 * 512 * 2**20 / (8 * 16))
    assert f"{n_rows:,} rows" in done.stdout
    assert f"{n_rows:,} labels" in done.stdout
    assert "Workers restarted: 0" in done.stdout
    labels = pq.ParquetDataset(tmp_path / "labels")
    assert sum(fragment.count_rows() for fragment in labels.fragments) == n_rows


@pytest.mark.slow
def test_conditioning_predicts_with_intervals_that_are_right(tmp_path):
    done = run_example("conditioning.py", tmp_path / "figure.png")
    assert done.returncode == 0, done.stderr
    share = next(line for line in done.stdout.splitlines() if "lie within 90%" in line)
    assert 87 <= int(share.split("%")[0].split()[-1]) <= 93
    assert np.ptp(imread(tmp_path / "figure.png")) == 1
