import resource
import subprocess
import sys

import pytest

from daskgmm.cli.main import daskgmm
from daskgmm.fitting.options import declared
from daskgmm.jobs import options as jobs
from tests.support.command import COMMAND, in_process

HEAVY = ("numpy", "sklearn", "dask", "distributed", "pyarrow", "rich", "scipy", "fsspec")


COMMANDS = (
    "fit", "select", "update", "predict", "sample", "impute", "merge", "adapt", "score", "show",
    "plot", "export", "runs", "watch", "config", "plan", "doctor",
)  # fmt: skip


@pytest.fixture(scope="module")
def overview():
    return in_process("--help").out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_documents_itself_and_the_group_names_it(command, overview):
    done = in_process(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"daskgmm {command}" in done.out
    assert "None" not in done.out
    assert f"  {command} " in overview


@pytest.mark.parametrize(
    ("command", "kind", "senseless"),
    [
        ("fit", jobs.OneFitOptions, ()),
        ("select", jobs.FitOptions, ()),
        ("update", jobs.UpdateOptions, ()),
        ("predict", jobs.PredictOptions, jobs.WeightOptions),
        ("impute", jobs.ImputeOptions, jobs.WeightOptions),
        ("merge", jobs.MergeOptions, ()),
        ("adapt", jobs.AdaptOptions, ()),
        ("score", jobs.ReadOptions, ()),
        ("sample", jobs.SampleOptions, jobs.RowsOptions),
        ("plan", jobs.PlanOptions, jobs.WeightOptions),
    ],
)
def test_a_command_takes_each_option_that_its_job_declares(command, kind, senseless):
    taken = {option.name for option in daskgmm.get_command(None, command).params}
    missing = declared(kind).keys() - taken
    assert missing <= (declared(senseless).keys() if senseless else set())


@pytest.mark.slow
def test_help_loads_no_library():
    code = (
        "import sys\n"
        "from daskgmm.cli.main import run\n"
        f"for name in {COMMANDS}: run([name, '--help'])\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"]])
def test_help_answers_at_once(arguments):
    def seconds():
        # Of the processor: on a busy machine the clock tells about the others.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        in_process(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5


def test_version():
    done = in_process("--version", command=COMMAND)
    assert (done.code, done.out.split()[0]) == (0, "daskgmm")


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ([], "Missing command"),
        (["fitt"], "No such command 'fitt'"),
        (["fit"], "Missing argument 'INPUT...'"),
        (["fit", "x.csv", "-k", "0", "-o", "run"], "0 is not in the range x>=1"),
        (["fit", "x.csv", "-k", "2", "-o", "run", "--subsample", "some"], "'some' is none of"),
        (["fit", "x.csv", "-k", "2", "-o", "run", "--columns", "a,,b"], "empty name"),
        (["show", "--nonsense"], "No such option"),
    ],
)
def test_wrong_usage_is_a_line_of_cause_and_one_of_remedy(arguments, cause):
    done = in_process(*arguments)
    assert (done.code, done.out) == (2, "")
    said = done.err.splitlines()
    assert said[0].startswith("error: ")
    assert cause in said[0]
    assert said[1].startswith("Try 'daskgmm")
    assert len(said) == 2


def test_a_malformed_storage_option_is_not_repeated_on_the_screen():
    done = in_process("fit", "x.csv", "-k", "2", "-o", "run", "--storage-option", "hunter2")
    assert done.code == 2
    assert "hunter2" not in done.err
