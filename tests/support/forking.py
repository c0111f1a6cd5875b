"""Commands as forks of a process that has imported all libraries: they start in no time.

A process of its own takes a second or more to import what it needs; a fork of one that has
imported it already takes hundredths. It has its own arguments, folder, environment, outputs and
exit code all the same. `COMMAND` in `tests.support.command` starts a process as users do, for
tests of the start itself, of signals, and of all that is read while libraries are imported.
"""

import atexit
import gc
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import dask

from daskgmm.cli import main as daskgmm
from daskgmm.cli.loading import COMMANDS
from tests.support.paths import ROOT

_LIBRARIES = (
    "dask.array", "dask.dataframe", "distributed", "pyarrow.dataset", "pyarrow.parquet",
    "scipy.linalg", "scipy.special", "sklearn.cluster", "sklearn.mixture", "matplotlib.figure",
    "daskgmm.jobs",
)  # fmt: skip

_BACKLOG = 64
_LONGEST = 1 << 20


@cache
def forked() -> Path:
    """Start the process that is forked, once.

    Returns
    -------
    Path
        A folder with the commands ``daskgmm`` and ``python``, which ask it for a fork.
    """
    folder = Path(tempfile.mkdtemp())
    commands = folder / "bin"
    commands.mkdir()
    for name in ("daskgmm", "python"):
        text = Path(__file__).with_name("forked.py").read_text("utf-8")
        (commands / name).write_text(f"#!{sys.executable} -IS\n{text}", "utf-8")
        (commands / name).chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forking", folder / "forks"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert server.stdout.readline() == b"ready\n"
    atexit.register(_end, server, folder)
    return commands


def _end(server: subprocess.Popen[bytes], folder: Path) -> None:
    server.communicate()
    shutil.rmtree(folder)


def serve(path: str) -> list[str]:
    """Fork for each request; return in the forked process, with its command line.

    Parameters
    ----------
    path : str
        Where to listen.

    Returns
    -------
    list of str
        What the process is to run.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(_BACKLOG)
    print("ready", flush=True)
    woken, waking = socket.socketpair()
    woken.settimeout(0)
    waking.settimeout(0)
    signal.set_wakeup_fd(waking.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ready = selectors.DefaultSelector()
    for one in (listener, woken, sys.stdin):
        ready.register(one, selectors.EVENT_READ)
    running: dict[int, socket.socket] = {}
    while True:
        for key, _ in ready.select():
            if key.fileobj is sys.stdin:  # who started it has ended
                os._exit(0)
            if key.fileobj is woken:
                woken.recv(_LONGEST)
                _answer_for_the_ended(running)
                continue
            asker, _ = listener.accept()
            request, outputs, *_ = socket.recv_fds(asker, _LONGEST, 3)
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                ready.close()
                for one in (listener, woken, waking, asker, *running.values()):
                    one.close()
                return _become(json.loads(request), outputs)
            for output in outputs:
                os.close(output)
            asker.sendall(struct.pack("i", pid))
            running[pid] = asker


def _answer_for_the_ended(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as asker, suppress(OSError):  # it may have been killed
            asker.sendall(struct.pack("i", os.waitstatus_to_exitcode(status)))


def _become(request: dict, outputs: list[int]) -> list[str]:
    for to, output in enumerate(outputs):
        os.dup2(output, to)
        os.close(output)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    return request["command"]


def run(command: list[str]) -> None:
    """Run ``daskgmm``, a program's text or a program's file, as the main module.

    Parameters
    ----------
    command : list of str
        ``["daskgmm", ...]``, ``["-c", text, ...]`` or ``[path, ...]``.
    """
    dask.config.refresh()  # from its own environment
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    if "debug" in command:  # as if distributed were imported now, without our levels
        import_module("distributed.config").initialize_logging(dask.config.config)
    name, *others = command
    main = sys.modules["__main__"] = ModuleType("__main__")  # what spawned processes look at
    if name == "daskgmm":
        sys.argv = command
        daskgmm()
    elif name == "-c":
        sys.argv, sys.path[0] = ["-c", *others[1:]], ""
        exec(compile(others[0], "<string>", "exec"), main.__dict__)  # noqa: S102
    else:
        sys.argv, sys.path[0] = command, str(Path(name).resolve().parent)
        runpy.run_path(name, run_name="__main__")


def _import_all() -> None:
    """Import what commands import, as they do."""
    gc.disable()
    silent = dict.fromkeys(("distributed", "distributed.client", "distributed.gc"), "critical")
    dask.config.set(logging=silent)  # as commands have it set before they import distributed
    for library in _LIBRARIES:
        import_module(library)
    for command in COMMANDS:
        import_module(f"daskgmm.cli.commands.{command}")
    gc.freeze()
    gc.enable()


if __name__ == "__main__":
    _import_all()
    run(serve(sys.argv[1]))
    # As `multiprocessing` ends its forks: libraries' threads may abort an interpreter that is
    # finalised, and of those that the server had, forks have none.
    threading._shutdown()  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(0)
