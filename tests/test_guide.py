"""The README and the guide: every command and snippet runs, and links lead somewhere."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.forking import forked
from tests.support.paths import EXAMPLES, ROOT

GUIDE = EXAMPLES / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
README = ROOT / "README.md"
TEXTS = [
    README, *PAGES, ROOT / "deploy" / "README.md", ROOT / ".github" / "CONTRIBUTING.md",
    *sorted((ROOT / "tests" / "benchmarks").glob("*.md")),
]  # fmt: skip
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PRINTED = re.compile(r'# prints "(.*?)"')
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that a forge gives to a page's headings."""
    titles = [title.lower().replace("`", "") for title in HEADING.findall(prose(page))]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def test_each_page_is_in_the_table_of_contents():
    listed = set(LINK.findall((GUIDE / "README.md").read_text("utf-8")))
    assert {page.name for page in PAGES} - {"README.md"} <= listed


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_links_lead_to_files_and_headings(page):
    lost = []
    for link in LINK.findall(prose(page)):
        to = urlsplit(link)
        if to.scheme:
            if to.scheme != "https" or "." not in to.netloc:
                lost.append(link)
            continue
        target = page.parent / to.path if to.path else page
        if not target.exists() or (to.fragment and to.fragment not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_the_readme_is_short_and_has_the_two_commands_on_top():
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 250
    assert max(len(line) for line in prose(README).splitlines() if line[:1] not in "|!") <= 100
    install, quick = BLOCK.findall(text)[:2]
    assert install[1].startswith("python3 -m venv .venv && .venv/bin/python -m pip install")
    assert '.venv/bin/pytest -m "not slow"' in quick[1]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_runs_in_their_order(page, tmp_path):
    shutil.copytree(EXAMPLES / "data", tmp_path, dirs_exist_ok=True)
    for language, block in BLOCK.findall(page.read_text("utf-8")):
        run_block(language, block, tmp_path)


@pytest.mark.long
@pytest.mark.slow
def test_every_block_of_the_readme_runs_in_their_order(tmp_path):
    shutil.copytree(EXAMPLES / "data", tmp_path / "examples" / "data")
    (_, install), _, *others = BLOCK.findall(README.read_text("utf-8"))  # .ci/run runs those two
    fit = install.partition("&&\n")[2].replace(".venv/bin/", "")
    for language, block in [("sh", fit), *others]:
        run_block(language, block, tmp_path)
    done = run(["daskgmm", "plot", "iris-run", "examples/data/iris.csv", "-o", "i.png"], tmp_path)
    assert done.returncode == 0, done.stderr


def run_block(language: str, block: str, folder: Path) -> None:
    """Run a block of a page, or write the file that its first line names.

    What a comment says that it prints is in its output, but for spaces.
    """
    if named := re.match(r"# file: (\S+)\n", block):
        (folder / named[1]).write_text(block, "utf-8")
        return
    if language in {"text", "bibtex"}:  # it installs the package, or is to be cited
        return
    if language == "crontab":
        block, language = f"bash -n -c {shlex.quote(block.split(maxsplit=5)[5])}", "sh"
    command = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": ["python", "-c"]}
    done = run([*command[language], block], folder)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    for told in PRINTED.findall(block):
        assert told in " ".join(done.stdout.split())


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    programs = os.pathsep.join(
        map(str, [forked(), Path(sys.executable).parent, os.environ["PATH"]])
    )
    # This package as it lies here: its compiled loops are kept from earlier tests.
    here = {"PATH": programs, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=os.environ | here, text=True,
        capture_output=True, timeout=280, check=False,
    )  # fmt: skip
