"""Long-running commands as processes of their own: they are waited for by what they say."""

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_PATIENCE = 120.0
_SCRIPTS = Path(sys.executable).parent
"""Where our own commands are, and Dask's."""


class Started:
    """A process, and the lines that it said so far.

    Parameters
    ----------
    process : Popen
        Its two outputs are one pipe.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def until(self, pattern: str) -> str:
        """Wait for a line with a pattern, and give what its first group matched, or all of it."""
        with suppress(queue.Empty):  # it has hung: what it said so far may tell why
            while (line := self._lines.get(timeout=_PATIENCE)) is not None:
                self.said.append(line)
                if found := re.search(pattern, line):
                    return found[found.re.groups and 1]
        raise AssertionError("".join(self.said))

    def stop(self) -> None:
        """End it, by force in the end."""
        self.process.terminate()
        try:
            self.process.wait(_PATIENCE)
        finally:
            self.process.kill()
            self._reader.join()
            self.process.stdout.close()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)


@contextmanager
def started(
    command: Sequence[object], environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """Run a command of this environment's while the block lasts."""
    with subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=inside(environment),
    ) as process:
        running = Started(process)
        try:
            yield running
        finally:
            running.stop()


def inside(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process has in its environment, such that it finds our commands."""
    path = os.pathsep.join([str(_SCRIPTS), os.environ["PATH"]])
    return dict(os.environ) | {"PATH": path, "PYTHONUNBUFFERED": "1"} | dict(environment or {})
