"""The documentation: public names say what they take, and no link of the site is lost."""

import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

from daskgmm.cli.main import daskgmm
from daskgmm.errors import DaskGMMError
from tests.support.paths import EXAMPLES, ROOT

MODULES = ["daskgmm", "daskgmm.jobs", "daskgmm.monitoring", "daskgmm.plotting", "daskgmm.errors"]
ROWS = {"self", "cls", "X", "y"}  # what scikit-learn's methods take is told once, by the class


def public():
    """Each public function, class and method by its name."""
    for name in MODULES:
        module = import_module(name)
        for public in module.__all__:
            value = getattr(module, public)
            if inspect.ismodule(value):
                continue
            yield f"{name}.{public}", value
            if inspect.isclass(value):
                for attribute in dir(value):
                    method = inspect.getattr_static(value, attribute)
                    method = getattr(method, "fget", None) or getattr(method, "__func__", method)
                    if attribute.startswith("_") or not inspect.isfunction(method):
                        continue
                    if method.__module__.startswith("daskgmm"):
                        yield f"{name}.{public}.{attribute}", method


def wanting(value):
    """What the docstring of a function, class or method lacks."""
    text = inspect.getdoc(value) or ""
    if inspect.isclass(value) and issubclass(value, DaskGMMError):
        return None if text else "a docstring"  # the base says what all take
    if not re.match(r"[^\n]+[.:](\n|$)", text):
        return "a first line that is a sentence"
    section = re.search(r"^Parameters\n-+\n(.*?)(\n\n\w|\Z)", text, re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^[\w*][^\n]*", section[1], re.MULTILINE) if section else []
    told = {word for line in lines for word in re.findall(r"\w+", line.partition(" : ")[0])}
    return sorted(set(inspect.signature(value).parameters) - ROWS - told)


def test_public_names_say_what_they_are_and_what_they_take():
    assert {name: lack for name, value in public() if (lack := wanting(value))} == {}


class Links(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links.update(given[name] for name in ("href", "src") if given.get(name))
        self.anchors.update(given[name] for name in ("id", "name") if given.get(name))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages of the site, by their paths."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", EXAMPLES / "guide" / "build.py", folder],
        cwd=folder, text=True, capture_output=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "index.html")
    return {page.relative_to(folder): Links(page) for page in folder.rglob("*.html")}, folder


@pytest.mark.slow
def test_links_of_the_site_lead_to_pages_and_anchors(site):
    pages, folder = site
    lost = []
    for page, found in pages.items():
        for link in found.links:
            to = urlsplit(link)
            if to.scheme == "data":
                continue
            if to.scheme or to.netloc:
                if to.scheme not in {"http", "https"} or "." not in to.netloc:
                    lost.append((page, link))
                continue
            target = folder / page
            if to.path:
                target = (target.parent / unquote(to.path)).resolve()
            inside = target.is_file() and target.is_relative_to(folder)
            anchors = pages[target.relative_to(folder)].anchors if to.fragment and inside else ()
            if not inside or (to.fragment and to.fragment not in anchors):
                lost.append((page, link))
    assert lost == []


@pytest.mark.slow
def test_the_site_has_each_page_of_the_guide_each_public_name_and_each_command(site):
    pages, _ = site
    guide = {page.stem for page in (EXAMPLES / "guide").glob("*.md")} - {"README"} | {"index"}
    assert guide == {page.stem for page in pages if page.parent == Path("examples/guide")}
    assert Path("index.html") in pages
    for name, _ in public():
        module = max((one for one in MODULES if name.startswith(f"{one}.")), key=len)
        page = Path("reference", *module.split(".")).with_suffix(".html")
        assert name.removeprefix(f"{module}.") in pages[page].anchors, name
    commands = set(daskgmm.list_commands(click.Context(daskgmm)))
    assert commands <= pages[Path("reference/commands.html")].anchors


@pytest.mark.slow
def test_texts_of_the_reference_are_rendered(site):
    _, folder = site
    aside = re.compile(r"<(pre|style|script).*?</\1>", re.DOTALL)
    raw = re.compile(r"object at 0x|&lt;class|^-{4,}$|:(?:class|func|meth):|``", re.MULTILINE)
    for page in (folder / "reference").rglob("*.html"):
        assert raw.findall(aside.sub("", page.read_text("utf-8"))) == [], page


def test_the_builder_is_told_in_the_guide_for_contributors():
    assert "examples/guide/build.py" in (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
