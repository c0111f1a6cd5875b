"""The guide: every command and snippet on its pages runs, and its links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import EXAMPLES

GUIDE = EXAMPLES / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def test_each_page_is_in_the_table_of_contents():
    listed = set(LINK.findall((GUIDE / "README.md").read_text()))
    assert {page.name for page in PAGES} - {"README.md"} <= listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page):
    missing = [link for link in LINK.findall(page.read_text()) if not (GUIDE / link).exists()]
    assert missing == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_runs_in_their_order(page, tmp_path):
    shutil.copytree(EXAMPLES / "data", tmp_path, dirs_exist_ok=True)
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for language, block in BLOCK.findall(page.read_text()):
        if language == "toml":
            name = re.match(r"# file: (\S+)\n", block)[1]
            (tmp_path / name).write_text(block)
            continue
        command = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
        done = subprocess.run(
            [*command[language], block],
            cwd=tmp_path, env=os.environ | {"PATH": programs}, text=True,
            capture_output=True, timeout=280, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
