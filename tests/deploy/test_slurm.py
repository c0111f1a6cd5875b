"""The files for Slurm run as they stand, on loopback: only Slurm's own commands are stand-ins."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from daskgmm import load
from tests.support.command import in_process
from tests.support.isolated import OURS, environment
from tests.support.paths import DEPLOY

SLURM = DEPLOY / "slurm"
FIT = ("-k", "3", "--seed", "0", "--subsample", "none", "--cache", "none", "--tol", "0")
FIT += ("--max-iter", "60")

STEP = """#!/usr/bin/env bash
# srun: a step's command, in as many processes as it has tasks
tasks=$SLURM_NTASKS
while [[ $1 == --* ]]; do
    [[ $1 == --ntasks=* ]] && tasks=${1#*=}
    shift
done
trap 'kill $(jobs -p) 2>/dev/null' TERM
for ((task = 0; task < tasks; task++)); do "$@" & done
wait; wait
"""
TOLD = """#!/usr/bin/env bash
echo "${0##*/} $*" >> "$TOLD"
"""
JOB = """#!/usr/bin/env bash
# sbatch: what the job's script says, in a process whose number is the job's
script=$(< "$1")
echo "$script" >> "$TOLD"
setsid bash -c "$script" > /dev/null 2>&1 &
echo "Submitted batch job $!"
"""
QUEUE = """#!/usr/bin/env bash
# sbatch, where no node is free, and which is long in answering
cat "$1" >> "$TOLD"
until [[ -e $TOLD.answer ]]; do sleep 0.05; done
echo "Submitted batch job $$"
"""
CANCEL = """#!/usr/bin/env bash
echo "${0##*/} $*" >> "$TOLD"
kill -TERM -- "-$1"
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows (16000, 2) in eight files."""
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    for index in range(8):
        values = rng.normal(size=(2000, 2)) + rng.integers(0, 3, (2000, 1)) * 2
        pd.DataFrame(values, columns=["a", "b"]).to_parquet(folder / f"{index}.parquet")
    return folder


@pytest.fixture(scope="module")
def alone(rows, tmp_path_factory):
    """What the same fit finds in a process of its own."""
    run = tmp_path_factory.mktemp("alone") / "run"
    assert in_process("fit", rows, "-o", run, *FIT).code == 0
    return found(run)


def found(run):
    model = load(run / "model.safetensors")
    arrays = (model.weights_, model.means_, model.covariances_, model.lower_bounds_)
    return b"".join(np.asarray(array).tobytes() for array in arrays)


class Site:
    """A machine with stand-ins for Slurm's commands, and what a job's environment has."""

    def __init__(self, folder, rows, venv=sys.prefix):
        self.folder, self.run, self.told = folder, folder / "run", folder / "told"
        self.told.touch()
        self.started = []
        commands = folder / "bin"
        commands.mkdir()
        scripts = {"srun": STEP, "scontrol": TOLD, "sbatch": JOB, "scancel": CANCEL}
        for name, script in scripts.items():
            (commands / name).write_text(script)
            (commands / name).chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "VENV": str(venv),
            "DATA": str(rows),
            "RUN": str(self.run),
            "LOCAL": str(folder),
            "INTERFACE": "lo",
            "TOLD": str(self.told),
            "SLURM_JOB_ID": "17",
            "SLURM_NTASKS": "3",
            "SLURM_CPUS_PER_TASK": "1",
            "SLURM_MEM_PER_CPU": "1000",
        }

    @property
    def scheduler(self):
        return self.folder / "scheduler-17.json"

    def start(self, script, *arguments, **variables):
        process = subprocess.Popen(
            ["bash", SLURM / script, *arguments],
            cwd=self.folder,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def clear(self):
        """End what a test that failed has left behind."""
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def fit(self, **variables):
        return self.start("fit.sbatch", *FIT, **variables)

    def pause(self):
        """Have the fit wait between two passes; return its process."""
        process = json.loads((self.run / "run.json").read_text())["process"]
        os.kill(process, signal.SIGSTOP)
        return process


@pytest.fixture
def site(tmp_path, rows):
    site = Site(tmp_path, rows)
    yield site
    site.clear()


def until(process, passes):
    for line in process.stderr:
        if line.startswith(f"Pass {passes}:"):
            return
    pytest.fail("The fit ended before.")


def kill_one(client, address):
    for number in client.run(lambda: (os.getppid(), os.getpid()), workers=[address])[address]:
        os.kill(number, signal.SIGKILL)  # first the nanny, which would start another


@pytest.mark.long
@pytest.mark.slow
def test_workers_that_join_late_and_one_that_is_killed_leave_no_trace_in_the_result(site, alone):
    job = site.fit()
    until(job, 10)
    fit = site.pause()
    with Client(scheduler_file=str(site.scheduler)) as client:
        first = set(client.scheduler_info(n_workers=-1)["workers"])
        assert len(first) == 2
        more = [
            site.start("workers.sbatch", site.scheduler, SLURM_JOB_ID=number, SLURM_NTASKS="1")
            for number in ("18", "19")
        ]
        client.wait_for_workers(4)
        late = set(client.scheduler_info(n_workers=-1)["workers"]) - first
        kill_one(client, min(first))
        client.get_task_stream()  # from here on
        os.kill(fit, signal.SIGCONT)
        until(job, 30)
        site.pause()
        workers = {task["worker"] for task in client.get_task_stream()}
    assert workers & late  # a pass may have fewer tasks than there are workers
    assert workers <= {*late, max(first)}
    os.kill(fit, signal.SIGCONT)
    out, err = job.communicate(timeout=200)
    assert job.returncode == 0, err
    assert "component" in out
    assert found(site.run) == alone
    for process in more:
        process.communicate(timeout=200)  # they leave with the scheduler
    assert not site.scheduler.exists()
    assert site.told.read_text() == ""


@pytest.mark.long
@pytest.mark.slow
def test_a_job_whose_time_ends_or_whose_scheduler_dies_queues_again_and_goes_on(site, alone):
    job = site.fit(SLURM_NTASKS="2")
    until(job, 10)
    job.send_signal(signal.SIGUSR1)  # as --signal=B:USR1@180 has it
    _, err = job.communicate(timeout=200)
    assert job.returncode == 143, err
    assert site.told.read_text() == "scontrol requeue 17\n"

    job = site.fit(SLURM_NTASKS="2", SLURM_RESTART_COUNT="1")
    until(job, 30)
    with Client(scheduler_file=str(site.scheduler)) as client:
        scheduler = client.run_on_scheduler(os.getpid)
        site.pause()
        os.kill(scheduler, signal.SIGKILL)
    os.kill(json.loads((site.run / "run.json").read_text())["process"], signal.SIGCONT)
    _, err = job.communicate(timeout=200)
    assert job.returncode == 75, err
    assert site.told.read_text() == "scontrol requeue 17\n" * 2

    assert in_process("fit", site.environment["DATA"], "-o", site.run, *FIT).code == 0
    assert found(site.run) == alone


@pytest.mark.slow
def test_a_cancelled_job_keeps_its_checkpoint_and_does_not_queue_again(site):
    job = site.fit(SLURM_NTASKS="2")
    until(job, 10)
    job.terminate()
    _, err = job.communicate(timeout=200)
    assert job.returncode == 143, err
    assert (site.run / "checkpoint.safetensors").exists()
    assert site.told.read_text() == ""


@pytest.fixture(scope="module")
def jobqueue(tmp_path_factory):
    """An environment with dask-jobqueue and this package."""
    return environment(tmp_path_factory.mktemp("jobqueue") / "venv", "dask-jobqueue", *OURS)


def start_jobqueue(python, site):
    process = subprocess.Popen(
        [python, SLURM / "jobqueue.py", *FIT, "--max-iter", str(10**6)],
        cwd=site.folder,
        env=site.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    site.started.append(process)
    return process


@pytest.mark.slow
def test_a_cancelled_jobqueue_keeps_its_checkpoint_and_takes_its_jobs_back(
    jobqueue, tmp_path, rows
):
    site = Site(tmp_path, rows, venv=jobqueue.parents[1])
    process = start_jobqueue(jobqueue, site)
    try:
        until(process, 10)
        process.terminate()  # and not its child: as scancel has it for a batch job's shell
        _, err = process.communicate(timeout=200)
    finally:
        site.clear()
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert (site.run / "checkpoint.safetensors").exists()
    assert json.loads((site.run / "run.json").read_text())["state"] == "failed"
    assert site.told.read_text().count("scancel") == 2


@pytest.mark.slow
def test_a_jobqueue_that_is_cancelled_in_the_queue_takes_its_jobs_back(jobqueue, tmp_path, rows):
    site = Site(tmp_path, rows, venv=jobqueue.parents[1])
    (tmp_path / "bin" / "sbatch").write_text(QUEUE)
    process = start_jobqueue(jobqueue, site)
    try:
        while site.told.read_text().count("#!/usr/bin/env bash") < 2:
            assert process.poll() is None
            threading.Event().wait(0.05)
        process.terminate()
        site.told.with_name("told.answer").touch()
        _, err = process.communicate(timeout=200)
    finally:
        site.clear()
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert "scancel" in site.told.read_text()


def minutes(text):
    hours, rest = map(int, text.split(":")[:2])
    return 60 * hours + rest


@pytest.mark.slow
def test_jobqueues_workers_leave_before_their_time_and_find_the_same_bits(
    jobqueue, tmp_path, rows, alone
):
    site = Site(tmp_path, rows, venv=jobqueue.parents[1])
    done = subprocess.run(
        [jobqueue, SLURM / "jobqueue.py", *FIT],
        env=site.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert found(site.run) == alone
    script = site.told.read_text()
    assert script.count("#!/usr/bin/env bash") >= 2
    words = script.split()
    after = {word: words[place + 1] for place, word in enumerate(words[:-1])}
    lifetime, stagger = (after[name] for name in ("--lifetime", "--lifetime-stagger"))
    assert lifetime[-1] == stagger[-1] == "m"
    assert int(lifetime[:-1]) + int(stagger[:-1]) < minutes(after["-t"])
    assert f"--local-directory {tmp_path}" in script
    assert "export OMP_NUM_THREADS=1" in script


def test_late_workers_leave_before_their_time():
    script = (SLURM / "workers.sbatch").read_text()
    lifetime, stagger = re.findall(r"--lifetime(?:-stagger)? (\d+)m", script)
    (walltime,) = re.findall(r"--time=(\S+)", script)
    assert int(lifetime) + int(stagger) < minutes(walltime)
