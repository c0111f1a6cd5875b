"""Where the processes that a test started are, when it takes too long.

pytest-timeout shows the threads of the process that tests: what waits for others, and not what they
wait for.
"""

import subprocess
import sys
from pathlib import Path
from threading import Timer

import psutil
import pytest

_BEFORE_THE_END = 0.95
_timers: dict[str, Timer] = {}


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item, settings):
    """Print the stacks of processes that the test started shortly before its time is up."""
    if settings.timeout:
        timer = _timers[item.nodeid] = Timer(settings.timeout * _BEFORE_THE_END, _print_stacks)
        timer.start()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_cancel_timer(item):
    """Print nothing: the test has ended."""
    if item.nodeid in _timers:
        _timers.pop(item.nodeid).cancel()
    return (yield)


def _print_stacks():
    for process in psutil.Process().children(recursive=True):
        command = [Path(sys.executable).with_name("py-spy"), "dump", "--pid", str(process.pid)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        print(found.stdout, found.stderr, sep="\n", file=sys.stderr)
