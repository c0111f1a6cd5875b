"""Options from a file and from variables: which wins, what is refused, what is shown."""

import json
import os
import tomllib
from pathlib import Path

import click
import pytest

from daskgmm.cli.main import daskgmm
from daskgmm.cli.options.sources import all_commands
from daskgmm.cli.options.toml import key_lines
from tests.support.command import here, in_process
from tests.support.paths import IRIS

__all__ = ["here"]


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Write a configuration file into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("job.toml").write_text(text)
        return "job.toml"

    return write


@pytest.fixture
def effective(here):
    """What `daskgmm config` tells of a command's options, as values and as sources."""

    def ask(command, *arguments):
        done = here("config", command, *arguments, "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)[command]

    return ask


def test_the_command_line_wins_over_variables_and_they_over_the_file(job, effective, monkeypatch):
    file = ("--config", job("tol = 0.1\nmax-iter = 7\nn_init = 4\n"))
    monkeypatch.setenv("DASKGMM_TOL", "0.2")
    monkeypatch.setenv("DASKGMM_MAX_ITER", "8")
    found = effective("fit", *file, "--tol", "0.3")
    assert found["tol"] == {"value": 0.3, "source": "command line"}
    assert found["max-iter"] == {"value": 8, "source": "DASKGMM_MAX_ITER"}
    assert found["n-init"] == {"value": 4, "source": "job.toml, line 3"}
    assert found["covariance"] == {"value": "full", "source": "default"}


def test_what_is_for_one_command_wins_over_what_is_for_all(job, effective, monkeypatch):
    file = ("--config", job("seed = 1\ntol = 0.1\n[fit]\nseed = 2\n[select]\nseed = 3\n"))
    assert effective("fit", *file)["seed"] == {"value": 2, "source": "job.toml, line 4"}
    assert effective("select", *file)["seed"]["value"] == 3
    assert effective("sample", *file)["seed"]["value"] == 1
    monkeypatch.setenv("DASKGMM_TOL", "0.2")
    monkeypatch.setenv("DASKGMM_SELECT_TOL", "0.3")
    assert effective("fit", *file)["tol"] == {"value": 0.2, "source": "DASKGMM_TOL"}
    assert effective("select", *file)["tol"] == {"value": 0.3, "source": "DASKGMM_SELECT_TOL"}


def test_the_file_itself_may_be_named_by_a_variable(job, effective, monkeypatch):
    monkeypatch.setenv("DASKGMM_CONFIG", job("log-level = 'warning'\n"))
    found = effective("fit")
    assert found["log-level"] == {"value": "warning", "source": "job.toml, line 1"}


@pytest.mark.parametrize(
    ("text", "option", "value"),
    [
        ('columns = ["a", "b"]', "columns", ["a", "b"]),
        ('columns = "a,b"', "columns", ["a", "b"]),
        ('columns = ["a, b"]', "columns", ["a, b"]),
        ('inputs = ["x.csv", "y.csv"]', "inputs", ["x.csv", "y.csv"]),
        ('inputs = "x.csv"', "inputs", ["x.csv"]),
        ("force = true", "force", True),
        ("progress = false", "progress", False),
        ("subsample = 1000", "subsample", "1000"),
        ('storage_options = ["anon=true"]', "storage-option", {"anon": "***"}),
        ('[storage-options]\nkey = "abcdef"\nanon = true', "storage-option",
         {"key": "***", "anon": "***"}),
    ],
)  # fmt: skip
def test_each_kind_of_value_has_its_form_in_toml(job, effective, text, option, value):
    assert effective("fit", "--config", job(text))[option]["value"] == value


def test_a_table_of_storage_options_reaches_the_store_as_it_is(job, here):
    file = job('inputs = "memory://rows.csv"\n[storage-options]\nnested = {a = [1]}\nb = true\n')
    done = here("fit", "--config", file, "-k", 2, "-o", "run")
    assert (done.code, "memory://rows.csv does not exist" in done.err) == (66, True)


WRONG = [
    ("# ours\ntolerance = 1", "line 2: 'tolerance' is not an option of daskgmm.", "'tol'"),
    ("[fitt]\nseed = 1", "line 1: 'fitt' is not an option of daskgmm.", "'fit'"),
    ("[score]\nn-init = 3", "line 2: 'n-init' is not an option of daskgmm score.", "config score"),
    ("[fit]\n\nn-init = 'x'", "line 3: n-init: 'x' is not a valid integer", "fit --help"),
    ("max-iter = 0", "line 1: max-iter: 0 is not in the range", "fit --help"),
    ("seed = [1]", "line 1: seed: a list is not a value for it.", "fit --help"),
    ("columns = {a = 1}", "line 1: columns: a table is not a value for it.", "fit --help"),
    ("tol = true", "line 1: tol: 'true' is not a valid float", "fit --help"),
    ("subsample = 'some'", "line 1: subsample: 'some' is none of auto", "fit --help"),
    ("[sample]\nseed = 'x'", "line 2: seed: 'x'", "sample --help"),
    (
        "[predict]\nseed = 1",
        "line 2: 'seed' is not an option of daskgmm predict.",
        "config predict",
    ),
    ("tol = nan", "line 1: tol: nan is not a finite number", "fit --help"),
    ("fit = 3", "line 1: 'fit' is not an option", "daskgmm config"),
    ("fit = [1]", "line 1: 'fit' is not an option", "daskgmm config"),
    ("[[fit]]\nseed = 1", "line 1: 'fit' is not an option", "daskgmm config"),
    ("columns = []", "line 1: columns: it has no names", "fit --help"),
    ("config = 'other.toml'", "line 1: 'config' is not an option", "daskgmm config"),
    ("seed = 1\ntol =", "can't be read as TOML", "Correct it"),
    ("storage-option = 'hunter2'", "line 1: storage-option: it is not of the form", "fit --help"),
]


@pytest.mark.parametrize(("text", "cause", "remedy"), WRONG, ids=[case[0] for case in WRONG])
def test_a_wrong_file_is_refused_by_its_key_and_line(job, here, text, cause, remedy):
    done = here("fit", IRIS, "-k", 2, "-o", "run", "--config", job(text))
    assert (done.code, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert "job.toml" in first
    assert cause in first
    assert remedy in second
    assert "hunter2" not in done.err


ANYTHING = {
    "brackets": b"a = " + b"[" * 100_000,
    "lists": b"a = " + b"[" * 300 + b"]" * 300,
    "long key": b"a" + b".a" * 50_000 + b" = 1",
    "no UTF-8": b"\xff\xfe",
    "zeros": b"\0" * 100,
    "large": b"#" * 2**21,
}


@pytest.mark.parametrize("what", ANYTHING)
def test_a_file_of_anything_is_wrong_usage(what, tmp_path, here):
    (tmp_path / "job.toml").write_bytes(ANYTHING[what])
    done = here("fit", IRIS, "-k", 2, "-o", "run", "--config", tmp_path / "job.toml")
    assert (done.code, done.out) == (2, "")
    cause, remedy = done.err.splitlines()
    assert "job.toml can't be read as TOML: " in cause
    assert "Correct it" in remedy


def test_a_folder_is_no_file_and_an_empty_one_sets_nothing(tmp_path, here):
    assert here("config", "fit", "--config", tmp_path).code == 2
    (tmp_path / "job.toml").touch()
    assert here("config", "fit", "--config", tmp_path / "job.toml").code == 0


def test_a_file_that_is_not_there_is_wrong_usage(here):
    done = here("fit", IRIS, "-k", 2, "-o", "run", "--config", "nowhere.toml")
    assert (done.code, "nowhere.toml" in done.err) == (2, True)


def test_the_value_of_a_common_key_that_only_others_take_is_left_to_them(job, here):
    file = job('covariance = "all"\n[select]\ncomponents = "1..3"\n')
    assert here("config", "select", "--config", file).code == 0
    assert here("config", "score", "--config", file).code == 0
    assert here("config", "fit", "--config", file).code == 2


def test_a_variable_that_sets_nothing_is_refused_with_a_suggestion(here, monkeypatch):
    monkeypatch.setenv("DASKGMM_MAX_ITR", "hunter2")
    done = here("fit", IRIS, "-k", 2, "-o", "run")
    assert done.code == 2
    assert "DASKGMM_MAX_ITR sets no option" in done.err
    assert "'DASKGMM_MAX_ITER'" in done.err
    assert "hunter2" not in done.err


def test_variables_that_kubernetes_sets_for_a_service_of_our_name_are_nobodys(
    effective, monkeypatch
):
    for name in ("SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR"):
        monkeypatch.setenv(f"DASKGMM_{name}", "10.0.0.1")
        monkeypatch.setenv(f"DASKGMM_SCHEDULER_{name}", "10.0.0.1")
    assert effective("fit")["scheduler"]["value"] is None


def test_a_wrong_value_of_a_variable_is_refused(here, monkeypatch):
    monkeypatch.setenv("DASKGMM_FIT_TOL", "small")
    done = here("fit", IRIS, "-k", 2, "-o", "run")
    assert (done.code, "'small'" in done.err) == (2, True)
    monkeypatch.delenv("DASKGMM_FIT_TOL")
    monkeypatch.setenv("DASKGMM_INPUTS", "nowhere.csv elsewhere.csv")
    assert here("fit", "-k", 2, "-o", "run").code == 66


@pytest.mark.slow
def test_one_file_says_all_for_a_fit_and_for_what_follows(job, here):
    file = job(
        f"""
        inputs = {json.dumps(str(IRIS))}
        model = "run"
        seed = 0
        [fit]
        columns = ["sepal_length", "sepal_width"]
        components = 3
        output = "run"
        [predict]
        output = "labels"
        """
    )
    assert here("fit", "--config", file).code == 0
    assert json.loads(Path("run/run.json").read_text())["configuration"]["components"] == 3
    assert here("score", "--config", file, "--json").code == 0
    assert here("show", "--config", file).code == 0
    assert here("predict", "--config", file).code == 0
    assert sorted(path.suffix for path in Path("labels").iterdir()) != []


def test_the_text_that_config_prints_is_a_file_that_says_the_same(job, here):
    file = job('seed = 3\ninputs = ["a \\" b.csv"]\n[fit]\ncomponents = 2\ntol = 1e-7\n')
    text = here("config", "--config", file).out
    tables = tomllib.loads(text)
    assert tables["fit"]["tol"] == 1e-7
    assert set(tables) >= {"fit", "select", "predict", "score", "show", "plot", "doctor"}
    again = job(text)
    as_json = [
        {name: one["value"] for name, one in json.loads(done.out)["fit"].items()}
        for done in (
            here("config", "fit", "--config", again, "--json"),
            here("config", "fit", "--seed", 3, "-k", 2, "--tol", 1e-7, 'a " b.csv', "--json"),
        )
    ]
    assert as_json[0] == as_json[1]


def test_config_shows_no_secret(job, here, monkeypatch):
    file = job('[storage-options]\nsecret = "hunter2"\n')
    url = "ftp://me:hunter2@host/a.csv"
    for arguments in (["--config", file], ["--storage-option", "key=hunter2"], [url]):
        for style in ([], ["--json"]):
            done = here("config", "fit", *arguments, *style)
            assert done.code == 0
            assert "hunter2" not in done.out + done.err
            assert "***" in done.out
    monkeypatch.setenv("DASKGMM_STORAGE_OPTION", "key=hunter2 token=hunter2")
    assert "hunter2" not in here("config").out


def test_storage_options_of_all_places_are_put_together(job, effective, monkeypatch, here):
    file = job("[storage-options]\na = 1\nb = 1\nc = 1\n")
    monkeypatch.setenv("DASKGMM_STORAGE_OPTION", "b=2 d=2")
    found = effective("fit", "--config", file, "--storage-option", "c=3")["storage-option"]
    assert sorted(found["value"]) == ["a", "b", "c", "d"]
    assert found["source"] == "command line"
    commands = all_commands(click.Context(daskgmm, info_name="daskgmm"))
    words = ["model", "--config", file, "--storage-option", "c=3"]
    context = commands["show"].make_context("show", words, click.Context(daskgmm))
    pairs = dict(context.params["storage_options"])
    assert pairs == {"a": "1", "b": "2", "c": "3", "d": "2"}


def test_config_takes_its_own_options_before_and_after_the_command(job, here):
    file = job("seed = 1\n")
    before = here("config", "--config", file, "--json", "--log-level", "error", "fit", "-k", 2)
    after = here("config", "fit", "-k", 2, "--log-level", "error", "--config", file, "--json")
    assert before.out == after.out
    found = json.loads(after.out)["fit"]
    assert found["log-level"] == {"value": "error", "source": "command line"}


def test_config_of_no_command_is_refused_with_a_suggestion(here):
    done = here("config", "fti")
    assert (done.code, "'fit'" in done.err) == (2, True)


def test_what_would_be_wrong_to_run_is_wrong_to_show(here):
    assert here("config", "fit", "--tol", "x").code == 2
    assert here("config", "fit", "--nonsense", "x").code == 2


def test_lines_of_keys_heed_values_over_many_lines_and_tables_in_tables():
    text = '# k\na = """\nb = 1\n"""\n\nc = [\n  1,\n]\n[t]\nd.e = 1\nf = {g = 2}\n[t.u]\nh = 3'
    assert key_lines(text) == {
        ("a",): 2, ("c",): 6, ("t",): 9, ("t", "d"): 10, ("t", "d", "e"): 10,
        ("t", "f"): 11, ("t", "f", "g"): 11, ("t", "u"): 12, ("t", "u", "h"): 13,
    }  # fmt: skip


@pytest.mark.slow
def test_lines_of_keys_are_found_in_a_time_that_grows_with_the_text():
    names = [f"'column {number} ] #'" for number in range(20_000)]
    text = "# k\n" * 20_000 + "columns = [\n" + ",\n".join(names) + "\n]\n[fit]\nseed = 1\n"
    assert key_lines(text) == {("columns",): 20_001, ("fit",): 40_003, ("fit", "seed"): 40_004}


def test_a_real_process_takes_options_from_all_four_places(job):
    file = job("seed = 1\n[fit]\ncomponents = 2\nmax-iter = 3\n")
    done = in_process(
        "fit", IRIS, "--config", file, "--columns", "sepal_length", "-o", "run",
        env=os.environ | {"DASKGMM_MAX_ITER": "5", "DASKGMM_REG_COVAR": "1e-4"},
    )  # fmt: skip
    assert done.code == 0
    found = json.loads(Path("run/run.json").read_text())["configuration"]
    expected = {"seed": 1, "components": 2, "max_iter": 5, "reg_covar": 1e-4, "tol": 1e-3}
    assert {name: found[name] for name in expected} == expected
