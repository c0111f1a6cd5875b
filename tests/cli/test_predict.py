import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from daskgmm import load
from tests.support.command import here, in_process, made

__all__ = ["here"]

N, K = 1000, 3
NAMES = ["a", "b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Rows in two Parquet files of several row groups, as one CSV file, and a run on them."""
    folder = tmp_path_factory.mktemp("predict")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 2)) + rng.integers(0, K, (N, 1)) * 5, columns=NAMES)
    frame["id"] = np.arange(N)
    frame["word"] = [f"w{i}" for i in range(N)]
    (folder / "rows").mkdir()
    frame[:600].to_parquet(folder / "rows" / "0.parquet", row_group_size=250, index=False)
    frame[600:].to_parquet(folder / "rows" / "1.parquet", index=False)
    frame.to_csv(folder / "rows.csv", index=False)
    fit = ("fit", folder / "rows", "--columns", "a,b", "-k", K, "-o", folder / "run", "--seed", 0)
    assert made(*fit).code == 0
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return load(folder / "run" / "model.safetensors")


@pytest.fixture(scope="module")
def frame(folder):
    return pd.read_csv(folder / "rows.csv")


@pytest.mark.slow
def test_a_model_is_applied_without_waiting_for_scikit_learn(folder, tmp_path):
    script = f"""
import sys
from daskgmm import jobs
MODEL, ROWS = {str(folder / "run")!r}, {str(folder / "rows")!r}
jobs.predict(MODEL, ROWS, "out", with_=("labels", "probabilities", "anomaly"))
jobs.score(MODEL, ROWS)
jobs.sample(MODEL, "drawn", n=10)
print(*{{"sklearn", "pandas", "distributed", "matplotlib"}} & sys.modules.keys())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.slow
def test_predictions_follow_the_rows_part_by_part(folder, tmp_path, model, frame):
    out = tmp_path / "out"
    kinds = ("--with", "labels,probabilities,log-density", "--keep", "word,a")
    done = in_process("predict", folder / "run", folder / "rows", "-o", out, *kinds)
    assert done.code == 0
    assert f"1,000 rows in 4 files: {out}" in done.out
    names = [f"part-{i:05}.parquet" for i in range(4)]
    assert sorted(path.name for path in out.iterdir()) == ["_SUCCESS", *names]
    assert [pq.read_metadata(out / name).num_rows for name in names] == [250, 250, 100, 400]
    found = pd.read_parquet(out)
    probabilities = [f"probability_{k}" for k in range(K)]
    assert list(found.columns) == ["word", "a", "label", *probabilities, "log_density"]
    assert found["label"].dtype == np.int32
    assert (found["word"] == frame["word"]).all()
    assert (found["label"] == model.predict(frame[NAMES])).all()
    np.testing.assert_allclose(found[probabilities], model.predict_proba(frame[NAMES]), rtol=1e-12)
    np.testing.assert_allclose(found["log_density"], model.score_samples(frame[NAMES]), rtol=1e-12)


def test_labels_alone_are_the_default(folder, tmp_path, here, frame, model):
    run = folder / "run" / "model.safetensors"  # a model file serves as well
    assert here("predict", run, folder / "rows.csv", "-o", tmp_path / "out").code == 0
    found = pd.read_parquet(tmp_path / "out")
    assert list(found.columns) == ["label"]
    assert (found["label"] == model.predict(frame[NAMES])).all()


def test_columns_are_found_by_name_wherever_they_are(folder, tmp_path, here, frame, model):
    frame[["word", "b", "id", "a"]].to_csv(tmp_path / "other.csv", index=False)
    assert here("predict", folder / "run", tmp_path / "other.csv", "-o", tmp_path / "out").code == 0
    assert (pd.read_parquet(tmp_path / "out")["label"] == model.predict(frame[NAMES])).all()


def test_a_model_without_names_takes_chosen_columns(folder, tmp_path, here, frame, model):
    del (nameless := load(folder / "run" / "model.safetensors")).feature_names_in_
    nameless.save(tmp_path / "model")
    command = ("predict", tmp_path / "model", folder / "rows.csv", "-o", tmp_path / "out")
    done = here(*command, "--columns", "a,b")
    assert done.code == 0
    assert (pd.read_parquet(tmp_path / "out")["label"] == model.predict(frame[NAMES])).all()
    assert here(*command, "--columns", "a", "--force").code == 65


def test_an_empty_part_among_full_ones_is_an_empty_file(folder, tmp_path, here, frame):
    for number, rows in enumerate([frame[:3], frame[:0], frame[3:5]]):
        rows.to_parquet(tmp_path / f"{number}.parquet", index=False)
    inputs = [tmp_path / f"{number}.parquet" for number in range(3)]
    out = tmp_path / "out"
    assert here("predict", folder / "run", *inputs, "-o", out, "--keep", "id").code == 0
    assert [pq.read_metadata(path).num_rows for path in sorted(out.glob("part-*"))] == [3, 0, 2]
    assert pd.read_parquet(out)["id"].tolist() == [0, 1, 2, 3, 4]


def test_another_command_on_an_output_is_refused_and_replaces_it_by_force(folder, tmp_path, here):
    command = ("predict", folder / "run", folder / "rows.csv", "-o", tmp_path / "out")
    assert here(*command).code == 0
    other = here(*command, "--with", "log-density")
    assert other.code == 73
    assert "differs in with (labels there, log-density now)" in other.err
    assert here(*command, "--with", "log-density", "--force").code == 0
    assert list(pd.read_parquet(tmp_path / "out").columns) == ["log_density"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_wide_results_are_written_in_bounded_row_groups(folder, tmp_path, here, monkeypatch):
    monkeypatch.setattr("daskgmm.passes.writing.VALUES_AT_ONCE", 5 * 100)
    kinds = ("--with", "labels,probabilities", "--keep", "id")
    out = tmp_path / "out"
    assert here("predict", folder / "run", folder / "rows.csv", "-o", out, *kinds).code == 0
    file = pq.ParquetFile(out / "part-00000.parquet")
    assert file.metadata.num_row_groups == N // 100
    assert file.read()["id"].to_pylist() == [str(n) for n in range(N)]


def test_a_failure_half_way_leaves_nothing(folder, tmp_path, here, frame):
    flawed = frame.copy()
    flawed.loc[700, "b"] = np.inf
    flawed.to_parquet(tmp_path / "rows.parquet", row_group_size=100, index=False)
    done = here("predict", folder / "run", tmp_path / "rows.parquet", "-o", tmp_path / "out")
    assert done.code == 65
    assert "infinity" in done.err
    assert "row group 7, row 0, column 'b'" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


@pytest.mark.slow
def test_an_input_larger_than_the_workers_memory_is_labelled(folder, tmp_path):
    rng = np.random.default_rng(1)
    source = tmp_path / "large.parquet"
    piece = pd.DataFrame(rng.normal(size=(200_000, 8)), columns=[*NAMES, *"cdefgh"])
    table = pq.ParquetFile(_written(piece, tmp_path / "piece.parquet")).read()
    with pq.ParquetWriter(source, table.schema, compression="none", use_dictionary=False) as file:
        for _ in range(60):  # 768 MB
            file.write_table(table)
    limits = ("--workers", 1, "--memory-limit", "500MB")
    keep = ("--keep", "a,b,c,d,e,f,g,h")
    done = in_process(
        "predict", folder / "run", source, "-o", tmp_path / "out", *keep, *limits, timeout=200
    )
    assert done.code == 0
    assert "12,000,000 rows in 60 files" in done.out
    assert "error" not in done.err


def _written(frame, path: Path):
    frame.to_parquet(path, index=False)
    return path


def test_the_least_likely_rows_are_anomalous(folder, tmp_path, here, frame, model):
    out = tmp_path / "out"
    kinds = ("--with", "anomaly,log-density", "--anomaly-quantile", "0.05")
    done = here("predict", folder / "run", folder / "rows", "-o", out, *kinds)
    assert done.code == 0
    densities = model.score_samples(frame[NAMES])
    found = pd.read_parquet(out)
    assert list(found.columns) == ["log_density", "anomaly"]
    assert found["anomaly"].dtype == bool
    assert (found["anomaly"] == (densities < np.quantile(densities, 0.05))).all()
    record = json.loads(pq.read_metadata(out / "part-00000.parquet").metadata[b"daskgmm"])
    np.testing.assert_allclose(record["found"]["threshold"], np.quantile(densities, 0.05))
    assert "threshold: " in done.out


def test_a_hundredth_is_anomalous_unless_a_threshold_is_given(folder, tmp_path, here):
    command = ("predict", folder / "run", folder / "rows", "--with", "anomaly", "-o")
    assert here(*command, tmp_path / "share").code == 0
    assert pd.read_parquet(tmp_path / "share")["anomaly"].sum() == N / 100
    assert here(*command, tmp_path / "fixed", "--anomaly-threshold", "-1e9").code == 0
    assert pd.read_parquet(tmp_path / "fixed")["anomaly"].sum() == 0


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--anomaly-quantile", "2"], "2.0 is not in the range"),
        (["--anomaly-quantile", "0.1"], "anomalies were not requested"),
        (["--with", "anomaly", "--anomaly-quantile", "0.1", "--anomaly-threshold", "0"], "Both"),
        (["--with", "labels,outliers"], "'outliers'"),
    ],
)
def test_what_counts_as_anomalous_is_given_once(folder, tmp_path, here, arguments, cause):
    done = here("predict", folder / "run", folder / "rows", "-o", tmp_path / "out", *arguments)
    assert (done.code, done.out) == (2, "")
    assert cause in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_column_by_the_name_of_a_prediction_is_not_kept(folder, tmp_path, here, frame):
    frame.assign(label=1).to_parquet(tmp_path / "rows.parquet")
    command = ("predict", folder / "run", tmp_path / "rows.parquet", "-o", tmp_path / "out")
    done = here(*command, "--keep", "label")
    assert done.code == 2
    assert "'label' has the same name as a prediction" in done.err


def test_files_in_a_shells_order_are_labelled_in_natural_order(folder, tmp_path, here, frame):
    for number in range(12):
        piece = frame[10 * number : 10 * number + 10]
        piece.to_parquet(tmp_path / f"part.{number}.parquet", index=False)
    paths = sorted(map(str, tmp_path.glob("*.parquet")))  # as bash expands *.parquet
    assert paths[2].endswith("part.10.parquet")
    out = tmp_path / "out"
    assert here("predict", folder / "run", *paths, "-o", out, "--keep", "id").code == 0
    written = [pq.read_table(path)["id"] for path in sorted(out.glob("*.parquet"))]
    assert [one for ids in written for one in ids.to_pylist()] == list(range(120))


def test_kept_columns_of_csv_are_text_as_it_is_written_and_one_type_in_all_parts(
    folder, tmp_path, here
):
    ids = [f"{12345678901234567890 + i}" for i in range(3)], ["0017", "X18", "1.10"]
    for number, own in enumerate(ids):
        pd.DataFrame({"a": [0.5] * 3, "b": 1.5, "id": own}).to_csv(
            tmp_path / f"{number}.csv", index=False
        )
    inputs, out = [tmp_path / "0.csv", tmp_path / "1.csv"], tmp_path / "out"
    done = here("predict", folder / "run", *inputs, "-o", out, "--keep", "id,a")
    assert done.code == 0, done.err
    found = pyarrow.dataset.dataset(out).to_table()  # as the first part's schema has it
    assert found["id"].to_pylist() == [*ids[0], *ids[1]]
    assert found["a"].to_pylist() == [0.5] * 6


def test_kept_columns_of_several_types_come_out_as_one_or_nothing_is_written(
    folder, tmp_path, here, frame
):
    rows, run, out = tmp_path / "rows", folder / "run", tmp_path / "out"
    rows.mkdir()
    for number, own in enumerate([pa.nulls(3), pa.array([1, 2, 3], pa.int32())]):
        table = pa.table({"a": frame["a"][:3], "b": frame["b"][:3], "k": own})
        pq.write_table(table, rows / f"{number}.parquet")
    assert here("predict", run, rows, "-o", out, "--keep", "k").code == 0
    found = pyarrow.dataset.dataset(out).to_table()
    assert found["k"].to_pylist() == [None] * 3 + [1, 2, 3]
    table = table.set_column(2, "k", pa.array(["x", "y", "z"]))
    pq.write_table(table, rows / "2.parquet")
    done = here("predict", run, rows, "-o", tmp_path / "other", "--keep", "k")
    assert done.code == 65
    assert "'k' is string in" in done.err
    assert not (tmp_path / "other").exists()


def explained(model, rows, names):
    found = model.explain(rows).to_numpy()
    order = np.argsort(-found, axis=1, kind="stable")
    return np.array(names)[order], np.take_along_axis(found, order, axis=1)


def test_an_explanation_names_the_most_surprising_columns(folder, tmp_path, here, frame, model):
    run, out = folder / "run", tmp_path / "out"
    kinds = ("--with", "labels,anomaly,explanation")
    assert here("predict", run, folder / "rows", "-o", out, *kinds, "--keep", "id").code == 0
    found = pd.read_parquet(out)
    which, amounts = ["surprising_1", "surprising_2"], ["surprise_1", "surprise_2"]
    assert list(found.columns) == ["id", "label", "anomaly", *which, *amounts]
    names, nats = explained(model, frame[NAMES], NAMES)
    np.testing.assert_array_equal(found[which], names)
    np.testing.assert_array_equal(found[amounts], nats)
    schema = pq.read_schema(out / "part-00000.parquet")
    assert schema.field("surprising_1").type == pa.string()


@pytest.mark.slow
def test_at_most_three_columns_are_named_whatever_their_names(tmp_path, here):
    names = ["größe, m", "b", "c", "d", "e"]
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 5)), columns=names)
    frame.to_parquet(tmp_path / "rows.parquet")
    fit = ("fit", tmp_path / "rows.parquet", "-k", 2, "-o", tmp_path / "run", "--seed", 0)
    assert here(*fit).code == 0
    command = ("predict", tmp_path / "run", tmp_path / "rows.parquet", "--with", "explanation")
    assert here(*command, "-o", tmp_path / "out").code == 0
    found = pd.read_parquet(tmp_path / "out")
    expected, nats = explained(load(tmp_path / "run"), frame, names)
    assert list(found.columns) == [
        f"{a}_{i}" for a in ("surprising", "surprise") for i in (1, 2, 3)
    ]
    np.testing.assert_array_equal(found.iloc[:, :3], expected[:, :3])
    np.testing.assert_array_equal(found.iloc[:, 3:], nats[:, :3])


def test_zarr_has_positions_in_place_of_names(folder, tmp_path, here, frame, model):
    zarr = pytest.importorskip("zarr")
    command = ("predict", folder / "run", folder / "rows", "--with", "explanation")
    assert here(*command, "-o", tmp_path / "out.zarr").code == 0
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    positions, nats = explained(model, frame[NAMES], [0, 1])
    np.testing.assert_array_equal(group["surprising"][:], positions)
    np.testing.assert_array_equal(group["surprise"][:], nats)
