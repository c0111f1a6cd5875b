"""What the command line says: remedies that work where they are read, in the reader's words."""

import json
import os
import pty
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len

from daskgmm import GaussianMixture
from daskgmm.cli.main import _HOMES
from daskgmm.cli.output.tables import facts_table
from tests.support.command import COMMAND, here
from tests.support.paths import DEPLOY

__all__ = ["here"]

NIGHTLY = DEPLOY / "schedules" / "nightly.sh"
FIT = ("fit", "-k", 2, "-o", "run", "--no-progress", "--seed", 0, "--refine", "none")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of its own, with rows of two columns in six files."""
    monkeypatch.chdir(tmp_path)
    Path("rows").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        frame = pd.DataFrame(rng.normal(size=(50, 2)), columns=["a", "b"])
        frame.to_parquet(f"rows/{number}.parquet")
    return tmp_path


@pytest.fixture
def model(folder):
    rows = pd.read_parquet("rows")
    GaussianMixture(2, random_state=0, refine="none").fit(rows).save("model.safetensors")
    return "model.safetensors"


INPUTS = [
    ("a;b\n13,17;1\n", "such as '13,17', which has a decimal comma.", "decimal=','"),
    ("a;b\n1;1\n13,17;1\n", "column 'a': '13,17' has a decimal comma.", "decimal=','"),
    ("1.5;2\n3.5;4\n", "its first line is 1.5;2.", "columns' names"),
    ("a,b\nx,1\ny,2\n", "it holds text, such as 'x'.", "numeric columns with --columns,"),
    ("a,b\n2026-11-24,1\n", "it holds dates.", "numeric columns with --columns,"),
    ("a,b\n1,1\nx,2\n", "'x' is not a number.", "leave the column out with --columns."),
    (
        "a,b\n1,1\n,2\n",
        "row 1 (line 3), column 'a' is NaN (row 1 of all, counted from 0).",
        "Drop or fill",
    ),
]


@pytest.mark.parametrize(("text", "cause", "remedy"), INPUTS, ids=[case[1] for case in INPUTS])
def test_bad_rows_are_told_in_plain_words(here, text, cause, remedy):
    Path("rows.csv").write_text(text)
    done = here(*FIT, "rows.csv")
    assert done.code == 65
    first, second = done.err.splitlines()
    assert cause in first
    assert remedy in second


@pytest.mark.parametrize("kind", ["large_string", "timestamp[us]"])
def test_columns_that_are_no_numbers_go_by_no_types_of_arrow(here, kind):
    values = {"large_string": ["x", "y"], "timestamp[us]": pd.to_datetime(["2026-11-24"] * 2)}[kind]
    pd.DataFrame({"a": values, "b": [1.0, 2.0]}).to_parquet("mixed.parquet")
    done = here(*FIT, "mixed.parquet")
    assert done.code == 65
    assert re.search("it holds (text|dates)[.,]", done.err)


def test_options_go_by_their_names_in_the_shell(here):
    Path("rows.txt").touch()
    Path("rows/6.csv").write_text("a,b\n1,2\n")
    for path in ("rows.txt", "rows"):
        done = here(*FIT, path)
        assert "--format" in done.err
        assert "format=" not in done.err


def test_an_empty_folder_is_called_one(here):
    Path("empty").mkdir()
    done = here(*FIT, "empty")
    assert (done.code, "empty is an empty folder" in done.err) == (66, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("predcit",), "No such command 'predcit'. Did you mean 'predict'?"),
        (("fit", "--cov", "diag"), "No such option '--cov'. Did you mean '--covariance'?"),
        (("fit", "--colums", "a"), "No such option '--colums'. Did you mean '--columns'?"),
        (("fit", "--zzzzz"), "No such option '--zzzzz'.\n"),
        (("fit", "-k", "1..5"), "fit takes one number; `daskgmm select -k 1..5` tries several."),
        (("plan", "-k", "2,3"), "plan takes one number; `daskgmm select -k 2,3` tries several."),
        (("fit", "-k", "drei"), "'drei' is not a whole number such as 3."),
        (("fit", "-k", "0"), "0 is not in the range x>=1."),
        (("sample", "model", "-n", "1.5"), "1.5 is not a whole number from 1 up."),
        (("sample", "model", "-n", "many"), "'many' is not a number such as 1000 or 1e6."),
        (("sample", "model", "-n", "inf"), "'inf' is not a number such as 1000 or 1e6."),
    ],
)
def test_what_was_mistyped_is_told_with_what_was_meant(here, arguments, said):
    done = here(*arguments)
    assert done.code == 2
    assert said in done.err


def test_summaries_of_commands_are_whole_sentences(here):
    commands = here("--help").out.partition("Commands:\n")[2].splitlines()
    assert len(commands) == len(_HOMES)
    assert [line for line in commands if not re.search(r"[^.]\.$", line)] == []


@pytest.mark.slow
def test_many_inputs_are_counted_and_passes_are_those_of_all_candidates(here, folder):
    done = here("select", "rows", "-k", "1..4", "-o", "run", "--seed", 0, "--subsample", "none")
    assert done.code == 0
    shown = here("show", "run").out
    assert f"6 files, the first {folder}/rows/0.parquet" in shown
    passes = json.loads(Path("run/run.json").read_text())["result"]["n_passes"]
    assert re.search(rf"^passes +{passes}$", shown, re.MULTILINE)


def test_a_drawn_seed_is_no_difference_that_anybody_asked_for(here, model):
    sample = ("sample", model, "-o", "drawn", "-n")
    assert here(*sample, "1e3").code == 0
    done = here(*sample, 2000)
    assert done.code == 73
    assert "differs in rows (1000 there, 2000 now)." in done.err
    assert "seed (" in here(*sample, 1000, "--seed", 1).err


@pytest.mark.parametrize("command", ["predict", "sample"])
@pytest.mark.parametrize("name", ["out.csv", "out.NPY"])
def test_a_folder_is_not_called_like_a_file(here, model, folder, command, name):
    own = ("rows",) if command == "predict" else ("-n", 5)
    before = sorted(folder.iterdir())
    done = here(command, model, *own, "-o", name)
    assert done.code == 2
    assert f"Output {name} would be a folder of Parquet files." in done.err
    assert f"Choose a name without .{name[4:].lower()}" in done.err
    assert sorted(folder.iterdir()) == before


def test_kinds_of_predictions_go_by_the_names_of_their_columns_too(here, model):
    assert here("predict", model, "rows", "-o", "out", "--with", "labels,log_density").code == 0
    assert list(pd.read_parquet("out").columns) == ["label", "log_density"]


@pytest.mark.slow
def test_a_table_takes_no_more_columns_than_the_terminal_has_room_for(here):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(60, 6)), columns=[f"temperature {n}" for n in range(6)])
    GaussianMixture(2, random_state=0).fit(rows).save("wide.safetensors")
    ours, theirs = pty.openpty()
    command, narrow = [*COMMAND, "show", "wide.safetensors"], {"COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, env=os.environ | narrow):
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how a terminal ends
            while piece := os.read(ours, 4096):
                shown += piece
        os.close(ours)
    assert "… and 4 more columns" in shown.decode()
    assert "more columns" not in here("show", "wide.safetensors").out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["面积", "surface é", "[bold]x[/]", ":smile:", "ｆｕｌｌ"])
def test_columns_of_a_table_end_at_the_same_place_on_a_terminal(here, name):
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=[name, "b"])
    GaussianMixture(2, random_state=0).fit(rows).save("m.safetensors")
    title = f"mean {name} ± sd"
    lines = here("show", "m.safetensors").out.splitlines()
    start = next(place for place, line in enumerate(lines) if title in line)
    head, *numbers = lines[start : start + 3]
    end = cell_len(head[: head.index(title) + len(title)])
    for line in numbers:
        found = re.search(r"\S+ ± \S+", line)
        assert cell_len(line[: found.end()]) == end
        assert cell_len(line) == cell_len(head)


def test_facts_beside_wide_names_begin_at_the_same_place():
    first, second = facts_table({"模型": "here", "rows": "3"}).splitlines()
    assert cell_len(first[: first.index("here")]) == cell_len(second[: second.index("3")]) == 6


def test_a_seed_is_taken_by_those_that_draw_only(here):
    commands = json.loads(here("config", "--json").out)
    takers = [name for name, options in commands.items() if "seed" in options]
    assert takers == ["fit", "select", "sample", "plot"]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("predict", "MODEL", "rows", "-o", "out"), ("--seed", 5)),
        (("score", "MODEL", "rows"), ("--seed", 5)),
        (("update", "MODEL", "rows", "-o", "out"), ("--seed", 5)),
        (("plot", "MODEL", "-o", "out.png"), ("--seed", 5)),
        (("plot", "MODEL", "-o", "out.png"), ("--workers", 2)),
        (("plot", "MODEL", "-o", "out.png"), ("--where", "a=1")),
        (("plan", "--rows", "1e6", "--features", 3, "-k", 2), ("--columns", "a")),
        (("score", "MODEL", "rows"), ("--fail-below", "nan")),
        (("predict", "MODEL", "rows", "-o", "out"), ("--anomaly-threshold", "nan")),
        (("update", "MODEL", "rows", "-o", "out"), ("--forgetting", "nan")),
    ],
    ids=str,
)
def test_what_a_command_would_not_use_is_refused(here, model, folder, command, option):
    done = here(*(model if word == "MODEL" else word for word in command), *option)
    assert (done.code, done.out) == (2, "")
    assert option[0] in done.err
    assert sorted(path.name for path in folder.iterdir()) == [model, "rows"]


@pytest.mark.slow
def test_what_a_file_says_for_others_is_left_to_them(here, model):
    Path("job.toml").write_text("seed = 1\nworkers = 2\n")
    assert here("plot", model, "-o", "out.png", "--config", "job.toml").code == 0


def test_a_nights_unknown_step_is_refused_before_any_is_made(folder):
    Path("victim").touch()
    environment = {"PATH": "/usr/bin:/bin", "VENV": "nowhere", "RESULTS": f"{folder}/results"}
    done = subprocess.run(
        [NIGHTLY, "2026-11-24", "fit", "rm"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "unknown step 'rm': fit, refresh, gate, predict or publish\n"
