"""What is shown of a test that takes too long."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

WAITING = """
import subprocess, sys

def test_waiting():
    subprocess.run([sys.executable, "-c", "import time\\ndef nap(): time.sleep(60)\\nnap()"])
"""


@pytest.mark.slow
def test_a_test_that_takes_too_long_shows_where_its_processes_are(tmp_path):
    (tmp_path / "test_waiting.py").write_text(WAITING)
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "tests.support.hanging", "-n0", "--timeout", "8",
            "-p", "no:cacheprovider", f"--rootdir={tmp_path}", tmp_path,
        ],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    if "Permission denied" in done.stdout:
        pytest.skip("no process may look into another here")
    assert "Timeout" in done.stdout
    assert "nap (<string>:2)" in done.stdout
