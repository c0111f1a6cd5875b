"""Bad inputs and outputs: the right code, the cause and the remedy, and nothing left behind."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.command import COMMAND, here, made
from tests.support.paths import IRIS

__all__ = ["here"]

COLUMNS = ("--columns", "sepal_length,sepal_width")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Inputs that are wrong, each in its own way."""
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame(np.arange(20.0).reshape(10, 2), columns=["a", "b"])
    rows.to_parquet("whole.parquet")
    Path("cut.parquet").write_bytes(Path("whole.parquet").read_bytes()[:-20])
    rows[:0].to_parquet("no_rows.parquet")
    rows.iloc[6, 1] = np.nan
    rows.to_parquet("hole.parquet", row_group_size=5)
    Path("ragged.csv").write_text("a,b\n1,2\n3\n")
    Path("header.csv").write_text("a,b\n")
    Path("words.csv").write_text("a,b\n1,x\n2,y\n")
    Path("file").touch()
    return tmp_path


FIT = [
    (["nope.csv"], 66, "nope.csv does not exist"),
    (["nope/*.parquet"], 66, "nope"),
    ([IRIS, "--columns", "sepal_lenght"], 65, "no column 'sepal_lenght'"),
    (["words.csv"], 65, "Column 'b'"),
    (["hole.parquet"], 65, "row group 1, row 1, column 'b'"),
    (["whole.parquet", "-k", "11"], 65, "n_components = 11, n_samples = 10"),
    (["no_rows.parquet"], 65, "0 sample(s)"),
    (["header.csv"], 65, "0 sample(s)"),
    (["cut.parquet"], 65, "cut.parquet is damaged"),
    (["ragged.csv"], 65, "ragged.csv, row 1 (line 3)"),
    (["whole.parquet", "--weight-column", "w"], 65, "no column 'w'"),
    (["whole.parquet", "header.csv"], 2, "more than one format"),
    (["whole.parquet", "--memory-limit", "lots"], 2, "'lots'"),
    (["whole.parquet", "--memory-limit", "50MB"], 2, "50MB"),
    (["whole.parquet", "--scheduler", "a:1", "--workers", "1"], 2, "a:1"),
    (["whole.parquet", "--scheduler", "foo://a:1"], 2, "foo://a:1"),
    (["whole.parquet", "--plot", "figure.txt"], 2, "figure.txt"),
    (["whole.parquet", "--plot", "nowhere/figure.png"], 73, "nowhere"),
    (["whole.parquet", "-o", "nowhere/run"], 73, "nowhere does not exist"),
    (["whole.parquet", "-o", "file/run"], 73, "is not a folder"),
    (["whole.parquet", "-o", "/proc/run"], 73, "/proc/run can't be written"),
    (["whole.parquet", "-o", "foo://bucket/run"], 2, "foo://bucket/run can't be opened"),
    (["whole.parquet", "-o", "file", "--force"], 73, "is not a run directory"),
    (["whole.parquet", "-o", ".", "--force"], 73, "is not a run directory"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "cause"), FIT, ids=[" ".join(map(str, case[0])) for case in FIT]
)
def test_a_fit_that_cannot_be_made(folder, here, arguments, code, cause):
    before = sorted(folder.iterdir())
    done = here("fit", "-k", 2, "-o", "run", "--no-progress", *arguments)
    assert (done.code, done.out) == (code, "")
    first, second = done.err.splitlines()
    assert first.startswith("error: ")
    assert cause in first
    assert len(second) > 5
    left = set(folder.iterdir()) - set(before)
    if left:  # what fails once rows are read is recorded
        assert left == {folder / "run"}
        assert [path.name for path in (folder / "run").iterdir()] == ["run.json"]
        record = json.loads((folder / "run" / "run.json").read_text())
        assert record["state"] == "failed"
        assert first == f"error: {' '.join(record['failure']['cause'].split())}"
        assert second == " ".join(record["failure"]["remedy"].split())


def test_what_would_fail_again_is_shown_with_its_own_remedy(folder, here):
    failed = here("fit", "whole.parquet", "-k", 11, "-o", "run", "--no-progress")
    cause, remedy = failed.err.splitlines()
    shown = here("show", "run")
    assert shown.code == 66
    assert cause.removeprefix("error: ").rstrip(".") in shown.err
    assert shown.err.splitlines()[1] == remedy


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A complete run on two columns of Iris."""
    path = tmp_path_factory.mktemp("runs") / "run"
    assert made("fit", IRIS, *COLUMNS, "-k", 3, "-o", path, "--seed", 0).code == 0
    return path


PREDICT = [
    (["nowhere", IRIS], 66, "model file nowhere does not exist"),
    ([".", IRIS], 66, "not a run directory"),
    (["words.csv", IRIS], 65, "not a daskgmm model file"),
    (["RUN", "nope.csv"], 66, "nope.csv does not exist"),
    (["RUN", "whole.parquet"], 65, "no column 'sepal_length'"),
    (["RUN", IRIS, "--columns", "petal_length"], 2, "'petal_length'"),
    (["RUN", IRIS, "--keep", "nope"], 65, "no column 'nope'"),
    (["RUN", IRIS, "--with", "labels,colours"], 2, "'colours'"),
    (["RUN", IRIS, "-o", "file"], 73, "files that daskgmm did not write"),
    (["RUN", IRIS, "-o", ".", "--force"], 73, "files that daskgmm did not write"),
    (["RUN", IRIS, "-o", "nowhere/out"], 73, "nowhere does not exist"),
    (["RUN", "iris_header.csv"], 65, "no rows to label"),
    (["RUN", "iris_hole.csv", "--keep", "label"], 2, "'label'"),
    (["RUN", "iris_hole.csv"], 65, "iris_hole.csv, row 1 (line 3), column 'sepal_width'"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "cause"), PREDICT, ids=[" ".join(map(str, case[0])) for case in PREDICT]
)
def test_predictions_that_cannot_be_made(folder, here, run, arguments, code, cause):
    Path("iris_header.csv").write_text("sepal_length,sepal_width,label\n")
    Path("iris_hole.csv").write_text("sepal_length,sepal_width,label\n5,3,0\n5,,1\n")
    before = sorted(folder.iterdir())
    arguments = [run if argument == "RUN" else argument for argument in arguments]
    done = here("predict", "-o", "out", "--no-progress", *arguments)
    assert (done.code, done.out) == (code, "")
    assert cause in done.err.splitlines()[0]
    assert len(done.err.splitlines()) == 2
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("command", ["predict", "score"])
def test_a_model_of_other_columns_is_refused_by_their_names(folder, here, run, command):
    output = ["-o", "out"] if command == "predict" else []
    done = here(command, run, "whole.parquet", *output)
    assert (done.code, done.out) == (65, "")
    assert "'sepal_length'" in done.err
    assert "'sepal_width'" in done.err
    done = here(command, run, IRIS, *output, "--columns", "petal_length,sepal_width")
    assert (done.code, done.out) == (2, "")
    for name in ("petal_length", "sepal_length", "sepal_width"):
        assert f"'{name}'" in done.err


def test_scores_of_no_rows_are_refused(folder, here, run):
    Path("header.csv").write_text("sepal_length,sepal_width\n")
    assert here("score", run, "header.csv").code == 65


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_without_permission_is_refused(folder, here):
    (folder / "closed").mkdir(mode=0o500)
    assert here("fit", "whole.parquet", "-k", 2, "-o", "closed/run").code == 73


def test_our_own_fault_is_told_without_a_traceback_unless_debugging(folder, here, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the\nsky fell")

    monkeypatch.setattr("daskgmm.jobs.fitting.fit", broken)
    done = here("fit", "whole.parquet", "-k", 2, "-o", "run")
    assert done.code == 70
    assert done.err.splitlines()[0] == "error: Unexpected failure: RuntimeError: the sky fell"
    assert "Traceback" not in done.err
    done = here("fit", "whole.parquet", "-k", 2, "-o", "run", "--log-level", "debug")
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("Run it with")


@pytest.mark.slow
def test_a_reader_of_the_output_may_leave_early(run):
    command = [*COMMAND, "show", str(run), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")
