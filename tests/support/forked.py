"""Takes the place of `daskgmm` or `python`: asks `tests.support.forking` for a process to run it.

It imports little, so that it takes a hundredth of a second.
"""
# ruff: noqa: PTH109, PTH118, PTH119, PTH120
# pathlib alone would take longer to import than all else.

import json
import os
import signal
import socket
import struct
import sys

name, *arguments = sys.argv
command = [os.path.basename(name), *arguments]
if command[0] == "python":
    if not arguments or not (arguments[0] == "-c" or arguments[0].endswith(".py")):
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  its own Python
    command = arguments
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.path.join(os.path.dirname(os.path.dirname(name)), "forks"))
    request = {"command": command, "folder": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
    (pid,) = struct.unpack("i", server.recv(4))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: os.kill(pid, number))
    (code,) = struct.unpack("i", server.recv(4))
sys.exit(code if code >= 0 else 128 - code)
