"""``daskgmm plan``: what it prints, and what it refuses."""

import json
import sys

import pytest
from dask.utils import format_bytes

from daskgmm.cli.commands.plan import _text
from tests.support.command import here, in_process, made
from tests.support.paths import IRIS
from tests.support.plans import brief

__all__ = ["brief", "here"]

pytestmark = pytest.mark.usefixtures("brief")

ASKED = ("plan", "--rows", "1e9", "--features", "50", "-k", "100", "--workers", "3")
MEASURED = ("rate", "a pass", "the starts", "a fit", "a fit there")
"""Lines that differ from one run to the next."""

BRIEF = """
from daskgmm.cli import main
from daskgmm.jobs.planning import benchmark
benchmark._SECONDS = 1e-3
main()
"""

SMALL = ("plan", "--features", "2", "-k", "3")


@pytest.fixture(scope="module")
def told(brief):
    """A large mixture's plan."""
    return made(*ASKED, "--json")


@pytest.mark.slow
def test_text_and_json_agree(here, told):
    shown = here(*ASKED)
    assert (told.code, told.err, shown.code, shown.err) == (0, "", 0, "")
    lines, again = (facts(text) for text in (shown.out, _text(json.loads(told.out))))
    assert lines.keys() == again.keys() > set(MEASURED)
    for name in lines.keys() - set(MEASURED):
        assert lines[name] == again[name]


def facts(text):
    """Each line's name and what it says."""
    return {
        name: said.strip() for name, _, said in (one.partition("  ") for one in text.splitlines())
    }


@pytest.mark.slow
def test_each_number_is_shown_with_what_it_is(told):
    found = json.loads(told.out)
    text = _text(found)
    for shown in (
        f"{found['rows']:,} of 50 columns",
        f"{found['parts']:,}, the largest of {found['rows_a_part']:,} rows",
        f"{found['rows_a_block']:,} rows",
        f"{found['tasks_a_pass']:,} of about {found['rows_a_task']:,} rows; {found['sums_a_pass']}",
        "on an embedded cluster of 3 workers of 1 thread\n",
        "3 workers of 1 thread, each with",
        " without rows, so a limit of ",
        f"up to {format_bytes(found['memory_client_bytes'])} beside the workers",
        f"{found['rows_a_second_a_thread']:,.0f} rows a second on a thread",
        f"usually {found['passes']}; 3 to 6 seen",
        f"{found['cheapest']['workers']:,} workers of ",
    ):
        assert shown in text
    assert found["cheapest"]["workers"] > found["workers"]
    assert "more than these have" in text


@pytest.mark.slow
def test_a_process_of_its_own_plans_for_files_and_leaves_nothing(tmp_path):
    import pandas as pd

    pd.DataFrame({"a": range(500), "b": range(500)}).to_parquet(tmp_path / "rows.parquet")
    asked = ("plan", "rows.parquet", "-k", "2", "--json")
    done = in_process(*asked, cwd=tmp_path, command=(sys.executable, "-c", BRIEF))
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert (found["rows"], found["in_this_process"]) == (500, True)
    assert "in this process, for the rows are few" in _text(found)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_file_and_variables_set_its_options(here, tmp_path, monkeypatch):
    (tmp_path / "job.toml").write_text("threads = 2\n[plan]\nrows = 1e6\nfeatures = 4\n")
    monkeypatch.setenv("DASKGMM_PLAN_FEATURES", "5")
    monkeypatch.setenv("DASKGMM_COMPONENTS", "3")
    found = json.loads(here("plan", "--config", tmp_path / "job.toml", "--json").out)
    assert (found["rows"], found["features"], found["components"]) == (10**6, 5, 3)
    assert found["threads"] == 2


@pytest.mark.parametrize(
    ("arguments", "cause", "remedy"),
    [
        ((*SMALL, "--rows", "0"), "rows is 0.", "at least 1"),
        (
            (*SMALL, "--rows", "2"),
            "3 components were requested, but there are only 2 rows",
            "fewer",
        ),
        ((*SMALL, "--rows", "many"), "'many' is not a number", "--help"),
        (("plan", "--rows", "9", "--features", "0", "-k", "1"), "0 is not in the range", "--help"),
        ((*SMALL, "--rows", "9", "--memory-limit", "99MB"), "memory limit is 99MB", "500 MB"),
        (
            ("plan", "--rows", "999", "--features", "300", "-k", "100", "--memory-limit", "1GB"),
            "A fit of 100 components",
            "more memory",
        ),
        ((*SMALL, "--rows", "9", str(IRIS)), "Both ", "or the two numbers"),
        (SMALL, "nor the number of rows", "Give inputs"),
        (("plan", str(IRIS), "-k", "2", "--columns", "petal_width"), "its metadata", "instead"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(here, arguments, cause, remedy):
    done = here(*arguments)
    assert (done.code, done.out) == (2, "")
    said = done.err.splitlines()
    assert cause in said[0]
    assert remedy in said[1]
    assert len(said) == 2


def test_inputs_that_are_not_there_are_told_apart(here):
    assert here("plan", "nowhere.parquet", "-k", "2").code == 66
