"""The nights run as their files have them, against a store on loopback that fails at first."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from itertools import count

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from daskgmm import load
from tests.support.command import COMMAND, forked_command, hurried_command
from tests.support.isolated import OURS, environment
from tests.support.paths import DEPLOY
from tests.support.stores import KEY, SECRET

SCHEDULES = DEPLOY / "schedules"
NIGHTLY = "/opt/daskgmm/deploy/schedules/nightly.sh"
EARLIER, GOOD, BAD, LATER = "2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24"


@pytest.fixture
def store(proxied):
    """A proxy of a store, and in its bucket the rows of two days, of which one fits badly."""
    proxy, bucket = proxied
    rng = np.random.default_rng(0)
    centres = np.array([(4 * i, 4 * j) for i in range(4) for j in range(2)])
    for day, width in ((GOOD, 0.05), (BAD, 50)):
        rows = np.repeat(centres, 50, axis=0) + width * rng.normal(size=(400, 2))
        with bucket.filesystem.open(f"{bucket.url}/rows/date={day}/0.parquet", "wb") as file:
            pd.DataFrame(rows, columns=["a", "b"]).to_parquet(file)
    return proxy, bucket


def at(bucket):
    """The environment that tells where the store is and what opens it."""
    return {
        "DATA": f"{bucket.url}/rows",
        "RESULTS": f"{bucket.url}/results",
        "AWS_ENDPOINT_URL": bucket.endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }


def published(bucket):
    return json.loads(bucket.filesystem.cat(f"{bucket.url}/results/latest.json"))


def record(bucket, day):
    return json.loads(bucket.filesystem.cat(f"{bucket.url}/results/models/{day}/run.json"))


def names(bucket, folder):
    return sorted(path.rpartition("/")[2] for path in bucket.filesystem.ls(folder))


def script(path, *lines):
    path.write_text("\n".join(("#!/usr/bin/env bash", *lines, "")))
    path.chmod(0o755)


def cron():
    """Variables and the command of the line, as cron takes them."""
    lines = (SCHEDULES / "daskgmm.cron").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines[:-1])
    *when, user, command = lines[-1].split(maxsplit=6)
    return variables, when, user, command


def test_crons_line_runs_the_script_every_night():
    variables, when, user, command = cron()
    assert variables["SHELL"] == "/bin/bash"
    assert (when, user, command) == (["30", "2", "*", "*", "*"], "daskgmm", NIGHTLY)
    assert os.access(SCHEDULES / "nightly.sh", os.X_OK)


@pytest.mark.slow
def test_a_night_is_tried_again_where_the_store_fails_and_published_if_good_enough(store, tmp_path):
    proxy, bucket = store
    told = tmp_path / "told"
    venv, commands = tmp_path / "venv" / "bin", tmp_path / "commands"
    venv.mkdir(parents=True)
    commands.mkdir()
    script(venv / "daskgmm", f'exec {shlex.join(hurried_command())} "$@"')
    script(venv / "python", f'exec {sys.executable} "$@"')
    script(commands / "sleep", f'echo "sleep $*" >> {told}')  # the store is well again by then
    proxy.failure = lambda *_request: None if told.exists() else "busy"
    known = {"VENV": str(venv.parent), "PATH": f"{commands}:{os.environ['PATH']}"}

    def night(day, **more):
        done = subprocess.run(
            [SCHEDULES / "nightly.sh", day],
            env=os.environ | cron()[0] | at(bucket) | known | more,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return done.returncode, done.stderr

    results = f"{bucket.url}/results"
    code, err = night(GOOD)
    assert code == 0, err
    assert told.read_text() == "sleep 600\n"
    parts = {"model": f"{results}/models/{GOOD}", "labels": f"{results}/labels/{GOOD}"}
    assert published(bucket) == {"day": GOOD, **parts}
    with bucket.filesystem.open(f"{parts['labels']}/part-00000.parquet") as file:
        assert pq.read_schema(file).names == ["label", "log_density"]

    code, err = night(BAD)
    assert (code, "below -3.2" in err) == (3, True)
    good, bad = (record(bucket, day) for day in (GOOD, BAD))
    assert "started_from" not in good
    assert bad["started_from"]["run_id"] == good["run_id"]
    assert names(bucket, f"{results}/labels") == [GOOD]
    assert published(bucket)["day"] == GOOD
    assert told.read_text() == "sleep 600\n"

    code, err = night(GOOD, FORCE="yes")
    assert code == 0, err
    assert record(bucket, GOOD)["run_id"] != good["run_id"]
    assert names(bucket, f"{bucket.url}/results") == ["labels", "latest.json", "models"]
    assert published(bucket) == {"day": GOOD, **parts}


def test_the_pointer_never_goes_back(tmp_path):
    publish = runpy.run_path(str(SCHEDULES / "publish.py"))["publish"]
    pointer = tmp_path / "latest.json"
    assert publish(str(pointer), GOOD, {"model": "a"})
    assert publish(str(pointer), GOOD, {"model": "b"})
    assert not publish(str(pointer), EARLIER, {"model": "c"})
    assert json.loads(pointer.read_text()) == {"day": GOOD, "model": "b"}
    assert publish(str(pointer), BAD, {"model": "d"})
    assert [path.name for path in tmp_path.iterdir()] == ["latest.json"]


def test_a_fit_starts_from_the_last_accepted_night_before_its_day(tmp_path):
    previous = runpy.run_path(str(SCHEDULES / "previous.py"))["previous"]

    def night(day, *, accepted):
        for name, file in (("models", "model.safetensors"), ("labels", "_SUCCESS")):
            if name == "models" or accepted:
                (tmp_path / name / day).mkdir(parents=True)
                (tmp_path / name / day / file).touch()

    assert previous(str(tmp_path), GOOD) is None
    night(EARLIER, accepted=True)
    night(GOOD, accepted=False)
    assert previous(str(tmp_path), EARLIER) is None
    for day in (GOOD, BAD):
        assert previous(str(tmp_path), day) == f"{tmp_path}/models/{EARLIER}"
    (tmp_path / "models" / EARLIER / "model.safetensors").unlink()  # pruned
    assert previous(str(tmp_path), BAD) is None


@pytest.mark.slow
def test_the_script_hands_the_start_to_the_fit(tmp_path):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    script(tmp_path / "venv" / "bin" / "daskgmm", 'echo "$*"')
    script(tmp_path / "venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    for name, file in (("models", "model.safetensors"), ("labels", "_SUCCESS")):
        (tmp_path / name / EARLIER).mkdir(parents=True)
        (tmp_path / name / EARLIER / file).touch()
    known = {"VENV": str(tmp_path / "venv"), "DATA": "rows", "RESULTS": str(tmp_path)}

    def start_of(day, **more):
        command = [SCHEDULES / "nightly.sh", day, "fit"]
        env = os.environ | known | more
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        return done.stdout.partition(" --start-from ")[2].strip()

    assert start_of(GOOD) == f"{tmp_path}/models/{EARLIER}"
    assert start_of(EARLIER) == start_of(GOOD, START="none") == ""
    assert start_of(GOOD, START="other") == "other"


@pytest.mark.parametrize("first", ["fit", "refresh"])
def test_a_night_whose_rows_came_late_is_made_again_where_that_is_asked_for(tmp_path, first):
    told = tmp_path / "told"
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    script(tmp_path / "venv" / "bin" / "daskgmm", f'echo "$*" >> {told}')  # all is there
    script(tmp_path / "venv" / "bin" / "python", "exit 0")
    own = {"VENV": str(tmp_path / "venv"), "DATA": "rows", "RESULTS": str(tmp_path)}

    def forced(**more):
        told.unlink(missing_ok=True)
        command = [SCHEDULES / "nightly.sh", GOOD, first, "predict"]
        subprocess.run(command, env=os.environ | own | {"START": "x"} | more, check=True)
        return [line.split()[0] for line in told.read_text().splitlines() if "--force" in line]

    assert forced() == []
    assert forced(FORCE="yes") == ["fit" if first == "fit" else "update", "predict"]


def a_drifting_day(folder):
    """Rows of three days, of which those of the last have moved."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 0], [0, 9]])
    for day, move in ((EARLIER, 0), (GOOD, 0), (BAD, 3)):
        rows = np.repeat(centres, 80, axis=0) + rng.normal(size=(240, 2)) + (move, 0)
        (folder / f"date={day}").mkdir(parents=True)
        file = folder / f"date={day}" / "0.parquet"
        pd.DataFrame(rng.permutation(rows), columns=["a", "b"]).to_parquet(file)


def check_chain(models):
    """The good day was added to the model of the earlier one, and the drifting one fitted anew."""
    days = EARLIER, GOOD, BAD
    first, second, third = (json.loads((models / day / "run.json").read_text()) for day in days)
    one, two, three = (load(models / day) for day in days)
    assert "updated_from" not in first
    assert "aligned_to" not in first
    assert second["updated_from"]["run_id"] == first["run_id"]
    assert two.n_rows_ == 480
    assert "updated_from" not in third
    assert third["aligned_to"]["run_id"] == second["run_id"]
    assert three.n_rows_ == 240
    for after in (two, three):  # components keep their order
        assert np.abs(after.means_ - one.means_).max() < 4


@pytest.mark.slow
def test_good_days_are_added_to_the_model_and_a_drifting_one_has_it_fitted_anew(tmp_path):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    script(tmp_path / "venv" / "bin" / "daskgmm", f'exec {shlex.join(COMMAND)} "$@"')
    script(tmp_path / "venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    a_drifting_day(tmp_path / "rows")
    config = (SCHEDULES / "nightly.toml").read_text().replace("components = 8", "components = 3")
    (tmp_path / "nightly.toml").write_text(config)
    own = {
        "VENV": str(tmp_path / "venv"),
        "DATA": str(tmp_path / "rows"),
        "RESULTS": str(tmp_path),
        "CONFIG": str(tmp_path / "nightly.toml"),
        "STEPS": "refresh",
    }

    def refresh(day):
        command = [SCHEDULES / "nightly.sh", day]
        env = os.environ | own
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (tmp_path / "labels" / day).mkdir(exist_ok=True)
        (tmp_path / "labels" / day / "_SUCCESS").touch()
        return json.loads((tmp_path / "models" / day / "run.json").read_text())

    *_, third = map(refresh, (EARLIER, GOOD, BAD))
    check_chain(tmp_path / "models")
    assert refresh(BAD) == third  # made already


def rows_of_a_day(file, seed, *, width=1.0, named=True):
    """A file of a day's rows around three centres, with a name each if that is wanted."""
    rng = np.random.default_rng(seed)
    centres = np.repeat([[0, 0], [9, 0], [0, 9]], 80, axis=0)
    rows = pd.DataFrame(centres + width * rng.normal(size=(240, 2)), columns=["a", "b"])
    if named:
        rows["name"] = [f"row {number}" for number in range(len(rows))]
    file.parent.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(file)


@pytest.mark.long
@pytest.mark.slow
def test_a_day_that_is_made_again_stays_as_it_was_until_the_new_model_is_accepted(tmp_path):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    script(tmp_path / "venv" / "bin" / "daskgmm", f'exec {shlex.join(forked_command())} "$@"')
    script(tmp_path / "venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    config = (SCHEDULES / "nightly.toml").read_text().replace("components = 8", "components = 3")
    config = config.replace("[fit]", '[fit]\ncolumns = ["a", "b"]').replace("-3.2", "-5")
    (tmp_path / "nightly.toml").write_text(f'{config}\nkeep = ["name"]\n')
    file, results = tmp_path / "rows" / f"date={GOOD}" / "0.parquet", tmp_path / "results"
    own = {
        "VENV": str(tmp_path / "venv"),
        "DATA": str(tmp_path / "rows"),
        "RESULTS": str(results),
        "CONFIG": str(tmp_path / "nightly.toml"),
    }

    def night(**more):
        command = [SCHEDULES / "nightly.sh", GOOD]
        env = os.environ | own | more
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        made = [path for path in results.rglob("*") if path.is_file() and "again" not in path.parts]
        return done.returncode, {path: path.read_bytes() for path in made}, done.stderr

    rows_of_a_day(file, 0)
    code, first, err = night()
    assert code == 0, err
    rows_of_a_day(file, 1, named=False)
    code, left, err = night(FORCE="yes")
    assert (code, "no column 'name'" in err) == (65, True)
    assert left == first
    rows_of_a_day(file, 2, width=100)
    code, left, err = night(FORCE="yes")
    assert (code, "below -5" in err) == (3, True)
    assert left == first

    rows_of_a_day(file, 3)
    code, again, err = night(FORCE="yes")
    assert code == 0, err
    assert again.keys() == first.keys()
    model = results / "models" / GOOD / "model.safetensors"
    assert again[model] != first[model]
    assert list((results / "again").iterdir()) == []
    assert night()[:2] == (0, again)  # labels of another model would be refused


@pytest.mark.slow
def test_a_pointer_that_a_store_does_not_take_is_a_passing_failure(proxied):
    proxy, bucket = proxied
    proxy.failure = lambda *_request: "busy"
    done = subprocess.run(
        [sys.executable, SCHEDULES / "publish.py", f"{bucket.url}/latest.json", GOOD, "model=a"],
        env=os.environ | at(bucket),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr.startswith("error: s3://")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units_and_starts_again_after_75_only(tmp_path):
    for name in ("daskgmm-nightly.service", "daskgmm-nightly.timer"):
        text = (SCHEDULES / name).read_text()
        # The first of the two edits: verify wants to see the command.
        (tmp_path / name).write_text(text.replace(NIGHTLY, str(SCHEDULES / "nightly.sh")))
    units = sorted(tmp_path.iterdir())
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    service = (SCHEDULES / "daskgmm-nightly.service").read_text()
    assert re.findall("^Restart.*Status=.*|^Restart=.*", service, re.MULTILINE) == [
        "Restart=no",
        "RestartForceExitStatus=75",
    ]
    exposure = ["systemd-analyze", "security", "--offline=true", "--threshold=20", units[0]]
    subprocess.run(exposure, capture_output=True, check=True)


# Airflow takes long to start: the nights with other steps are of the same process.
AIRFLOW = """
import importlib, os, sys
from datetime import UTC, datetime, timedelta
import airflow_dag
dag = airflow_dag.daskgmm_nightly()
*usual, other, steps = sys.argv[1:]
for day in (*usual, other):
    if day == other:
        os.environ["STEPS"] = steps
        dag = importlib.reload(airflow_dag).daskgmm_nightly()
        os.remove(os.environ["TOLD"])
    morning = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=26.5)
    run = dag.test(logical_date=morning)
    tasks = [(ti.task_id, str(ti.state), ti.try_number) for ti in run.get_task_instances()]
    print("RUN", day, str(run.state), sorted(tasks))
"""


@pytest.mark.long
@pytest.mark.slow
def test_airflow_tries_a_step_again_after_75_and_ends_the_night_at_a_shut_gate(tmp_path):
    python = environment(tmp_path / "venv", "apache-airflow")
    told, nightly = tmp_path / "told", tmp_path / "nightly"
    script(
        nightly,
        f'echo "$*" | tee -a {told} >> {told}.all',
        f"[[ $2 =~ ^(fit|refresh)$ && $(wc -l < {told}) == 1 ]] && exit 75",
        f"[[ $1 == {BAD} && $2 == gate ]] && exit 3",
        "exit 0",
    )
    own = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(SCHEDULES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NIGHTLY": str(nightly),
        "PAUSE": "0",
        "PYTHONPATH": str(SCHEDULES),
        "TOLD": str(told),
    }

    def run(*command):
        done = subprocess.run(
            [python, *command],
            env=os.environ | own,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return done, [line for line in done.stdout.splitlines() if line.startswith("RUN")]

    made, _ = run("-m", "airflow", "db", "migrate")
    assert made.returncode == 0, made.stderr
    done, runs = run("-c", AIRFLOW, GOOD, BAD, LATER, "refresh gate predict publish")
    good = [
        ("fit", "success", 2),
        *((name, "success", 1) for name in ("gate", "predict", "publish")),
    ]
    bad = [("fit", "success", 1), ("gate", "failed", 1)]
    bad += [("predict", "upstream_failed", 0), ("publish", "upstream_failed", 0)]
    refreshed = sorted([("refresh", "success", 2), *good[1:]])
    assert runs == [
        f"RUN {GOOD} success {good}",
        f"RUN {BAD} failed {bad}",
        f"RUN {LATER} success {refreshed}",
    ], done.stderr
    steps = ["fit", "fit", "gate", "predict", "publish"]
    calls = [*(f"{GOOD} {step}" for step in steps), f"{BAD} fit", f"{BAD} gate"]
    steps[:2] = ["refresh", "refresh"]
    calls += [f"{LATER} {step}" for step in steps]
    assert (tmp_path / "told.all").read_text().splitlines() == calls


# Prefect takes long to start: the two chains of nights are of one process.
PREFECT = f"""
import importlib, os, sys
import s3fs
s3fs.S3FileSystem.retries = 1
from daskgmm.data.storage import retry as retrying
retrying.PAUSES = (0.0, 0.0)
import prefect_flow
for day in ({GOOD!r}, {BAD!r}):
    state = prefect_flow.nightly(day, return_state=True)
    print("RUN", day, state.name, type(state.result(raise_on_failure=False)).__name__)
data, results = sys.argv[1:]
os.environ.update(DATA=data, RESULTS=results, STEPS="refresh gate predict publish")
importlib.reload(prefect_flow)
prefect_flow.COMPONENTS, prefect_flow.GATE = 3, -10
for day in ({EARLIER!r}, {GOOD!r}, {BAD!r}, {BAD!r}):
    print("RUN", day, prefect_flow.nightly(day, return_state=True).name)
"""


@pytest.mark.long
@pytest.mark.slow
def test_prefect_runs_the_night_again_after_a_passing_failure_and_publishes_no_bad_model(
    store, tmp_path
):
    # Prefect 3.8 admits later versions of FastAPI, and does not start with them.
    python = environment(tmp_path / "venv", "prefect", "fastapi<0.140", "s3fs", *OURS)
    proxy, bucket = store
    requests = count()
    proxy.failure = lambda *_request: "busy" if next(requests) < 1 else None
    own = {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # of a busy machine
        "DO_NOT_TRACK": "1",
        "PAUSE": "0",
        "PYTHONPATH": str(SCHEDULES),
    }

    a_drifting_day(tmp_path / "rows")
    done = subprocess.run(
        [python, "-c", PREFECT, tmp_path / "rows", tmp_path],
        env=os.environ | own | at(bucket),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    runs = [line for line in done.stdout.splitlines() if line.startswith("RUN")]
    assert runs == [
        f"RUN {GOOD} Completed NoneType",
        f"RUN {BAD} Failed ShutGateError",
        *(f"RUN {day} Completed" for day in (EARLIER, GOOD, BAD, BAD)),
    ], done.stderr
    assert re.findall(r"Retry \d+/\d+", done.stdout + done.stderr) == ["Retry 1/5"]
    assert published(bucket)["day"] == GOOD
    assert names(bucket, f"{bucket.url}/results/labels") == [GOOD]
    check_chain(tmp_path / "models")
