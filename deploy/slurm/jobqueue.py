"""Fit a mixture on workers that dask-jobqueue asks Slurm for, as many as there is work for.

Start, on a node that the workers reach and that may run for as long as the fit does::

    python deploy/slurm/jobqueue.py -k 20 --columns height,weight    (options of daskgmm fit)

Two edits: VENV, where daskgmm and dask-jobqueue are installed, and DATA and RUN, which all nodes
see; they can be given in the environment. What your site wants besides (queue, account, memory,
time) stands in `cluster`. It ends with the command's exit code; the same command again goes on
from the checkpoint. Cancelled, or at the end of its own time, it ends the command as SIGTERM does,
takes its workers' jobs back, and exits with 143.

A worker leaves by itself before its job's time is up and hands on what it holds, each at a time
of its own, and another is asked for in its place. The result does not depend on who came and
went. Whoever reaches a scheduler can run code in it: where you share the network, see deploy/tls.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dask_jobqueue import SLURMCluster

from daskgmm.cli.exits import Terminated, interruptible

VENV = os.environ.get("VENV", Path.home() / "daskgmm")
DATA = os.environ.get("DATA", "/scratch/rows")
RUN = os.environ.get("RUN", "/scratch/run")
INTERFACE = os.environ.get("INTERFACE")  # of the fast network, such as "ib0"; else the host's name
# A disk of the node's own, for what memory can't hold.
LOCAL = os.environ.get("LOCAL", "/tmp")  # noqa: S108  each node has its own

WALLTIME, LIFETIME, STAGGER = "02:00:00", "105m", "10m"
LEAST, MOST = 2, 20  # workers

# Dask logs a connection that closes with the cluster together with its traceback.
logging.getLogger("distributed.batched").setLevel(logging.WARNING)


def cluster() -> SLURMCluster:
    """Workers as jobs: a process each, with as many threads as cores."""
    return SLURMCluster(
        queue=None,
        account=None,
        cores=4,
        processes=1,
        memory="16GiB",
        walltime=WALLTIME,
        interface=INTERFACE,
        local_directory=LOCAL,
        python=f"{VENV}/bin/python",
        worker_extra_args=["--lifetime", LIFETIME, "--lifetime-stagger", STAGGER],
        job_script_prologue=[
            "export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1",  # of BLAS, to a thread of Dask
            # "export OPENBLAS_CORETYPE=SkylakeX",  where `daskgmm doctor` says so
        ],
        scheduler_options={"port": 0, "dashboard_address": ":0"},
    )


def fit_on(workers: SLURMCluster) -> int:
    """Fit as the command does, once the first workers are there."""
    with workers:
        workers.scale(LEAST)  # at once: the first look at the load comes after the interval
        workers.adapt(minimum=LEAST, maximum=MOST, interval="30s")
        # Where decoded rows are kept is chosen from the workers' memory when the fit starts. A
        # client would wait for the cluster's own work, and cancel it with itself at a signal.
        workers.wait_for_workers(LEAST)
        where = ["-o", RUN, "--scheduler", workers.scheduler_address]
        fit = [f"{VENV}/bin/daskgmm", "fit", DATA, *where, *sys.argv[1:]]
        return code_of(fit)


def code_of(command: Sequence[str]) -> int:
    """The exit code of a command, which may end in its own time when a signal comes."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt as error:
            terminated = isinstance(error, Terminated)
            process.send_signal(signal.SIGTERM if terminated else signal.SIGINT)
            return process.wait()


def main() -> int:
    """Fit, and close the cluster also where a signal comes, whenever that is."""
    try:
        with interruptible():
            return fit_on(cluster())
    except Terminated:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
