"""Build the documentation as a site: README, guide, commands, and public names.

Run ``python examples/guide/build.py FOLDER`` in a checkout, after ``pip install '.[docs]'``. Pages
lie in FOLDER as their sources do in the checkout, so links between them stay as they are; what a
page links to is in the site too. The reference is read from docstrings by pdoc, and from the
commands' help.
"""

import argparse
import html
import inspect
import json
import os
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import click
import jinja2
import markdown2
import pdoc
import pdoc.render
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

from daskgmm.cli.main import daskgmm
from daskgmm.fitting.options import declared

ROOT = Path(__file__).resolve().parents[2]
GUIDE = Path("examples/guide")
FIRST = Path("README.md")
MODULES = (
    "daskgmm", "daskgmm.jobs", "daskgmm.monitoring", "daskgmm.plotting", "daskgmm.errors",
)  # fmt: skip
COMMANDS = Path("reference/commands.md")
COPIED = {".png", ".svg", ".csv", ".parquet"}
MARKDOWN = ("tables", "fenced-code-blocks", "header-ids", "cuddled-lists", "code-friendly")
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(ROOT / GUIDE / "templates"), autoescape=True
)


def target(source: Path) -> Path:
    """Path in the site of a page, file or folder of the checkout."""
    if (ROOT / source).is_dir():
        return source / "index.html"
    if source.name == "README.md":
        return source.with_name("index.html")
    if source.suffix in COPIED:
        return source
    return source.with_suffix(".html") if source.suffix == ".md" else Path(f"{source}.html")


def relative(link: Path, page: Path) -> str:
    """A link to one file of the site from another."""
    return Path(os.path.relpath(link, page.parent)).as_posix()


class Site:
    """Pages that are made, and what they link to.

    Parameters
    ----------
    folder : Path
        Folder of the site, which is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wanted = [FIRST]
        self.made: set[Path] = set()
        self.template = TEMPLATES.get_template("page.html.jinja2")
        titles = [(target(FIRST), "Overview"), (target(GUIDE / "README.md"), "Guide")]
        contents = (ROOT / GUIDE / "README.md").read_text("utf-8")
        for name in re.findall(r"\]\(([\w-]+\.md)\)", contents):
            first, _ = (ROOT / GUIDE / name).read_text("utf-8").split("\n", 1)
            titles.append((target(GUIDE / name), first.removeprefix("# ")))
        titles.append((target(COMMANDS), "Commands"))
        titles += [
            (Path("reference", *name.split(".")).with_suffix(".html"), name) for name in MODULES
        ]
        self.titles = titles

    def build(self) -> None:
        """Make all pages that can be reached from the README, and the reference."""
        reference(self.folder / "reference")
        self.write(COMMANDS, commands(), "Commands")
        while self.wanted:
            source = self.wanted.pop()
            if source not in self.made:
                self.made.add(source)
                self.make(source)

    def make(self, source: Path) -> None:
        """Make the page of a text, a folder or a file of the checkout."""
        path = ROOT / source
        if path.is_dir():
            self.write(source, listing(path), source.name)
        elif source.suffix in COPIED:
            copy = self.folder / source
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        elif source.suffix == ".md":
            text = path.read_text("utf-8")
            title = text.split("\n", 1)[0].removeprefix("# ")
            self.write(source, str(markdown2.markdown(text, extras=list(MARKDOWN))), title)
        elif source.suffix == ".ipynb":
            self.write(source, notebook(path), source.name)
        else:
            self.write(source, f"<h1>{source}</h1>{code(path)}", source.name)

    def write(self, source: Path, body: str, title: str) -> None:
        """Write a page, with its links as those of the site."""
        page = target(source)

        def link(found: re.Match[str]) -> str:
            attribute, to, anchor = found.groups()
            if not to or re.match(r"\w+:", to):
                return found[0]
            leads = (
                (ROOT / source).parent / to if not (ROOT / source).is_dir() else ROOT / source / to
            )
            inside = leads.resolve().relative_to(ROOT)
            self.wanted.append(inside)
            return f'{attribute}="{relative(target(inside), page)}{anchor or ""}"'

        if source != COMMANDS:
            body = re.sub(r'\b(href|src)="([^"#]*)(#[^"]*)?"', link, body)
            body = to_commands(body, relative(target(COMMANDS), page))
        menu = [(relative(to, page), name, to == page) for to, name in self.titles]
        file = self.folder / page
        file.parent.mkdir(parents=True, exist_ok=True)
        style = HtmlFormatter().get_style_defs(".codehilite")
        text = self.template.render(title=title, body=body, menu=menu, style=style)
        file.write_text(text, "utf-8")


def code(path: Path, text: str | None = None) -> str:
    """A file's text in colours."""
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        lexer = TextLexer()
    return highlight(text or path.read_text("utf-8"), lexer, HtmlFormatter(cssclass="codehilite"))


def listing(folder: Path) -> str:
    """The files below a folder, as links."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    names = [path.relative_to(folder).as_posix() for path in files]
    rows = "".join(f'<li><a href="{name}">{name}</a></li>' for name in names)
    return f"<h1>{folder.relative_to(ROOT)}</h1><ul>{rows}</ul>"


def notebook(path: Path) -> str:
    """The cells of a notebook without their outputs."""
    parts = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        is_text = cell["cell_type"] == "markdown"
        made = markdown2.markdown(text, extras=list(MARKDOWN)) if is_text else None
        parts.append(str(made) if is_text else code(Path("cell.py"), text))
    return "".join(parts)


def to_commands(body: str, page: str) -> str:
    """Links to the commands' page where a text names a command alone."""
    names = "|".join(daskgmm.list_commands(click.Context(daskgmm)))
    return re.sub(
        rf"<code>(daskgmm ({names}))</code>", rf'<a href="{page}#\2"><code>\1</code></a>', body
    )


def commands() -> str:
    """What each command does, and its options."""
    parts = ["<h1>Commands</h1>"]
    for path, command in tree(daskgmm, click.Context(daskgmm, info_name="daskgmm")):
        anchor = "-".join(path[1:])
        context = click.Context(command, info_name=" ".join(path))
        usage = " ".join([*path, *command.collect_usage_pieces(context)])
        text = inspect.cleandoc(command.help or "").replace("\b\n", "")
        parts.append(f'<h2 id="{anchor}">{" ".join(path)}</h2><pre>{html.escape(usage)}</pre>')
        parts.append(str(markdown2.markdown(html.escape(text, quote=False))))
        parts.append("<table><tr><th>option</th><th>meaning</th></tr>")
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record and record[1]:
                names, meaning = map(html.escape, record)
                parts.append(
                    f'<tr id="{anchor}-{parameter.name}"><td><code>{names}</code></td>'
                    f"<td>{meaning}</td></tr>"
                )
        parts.append("</table>")
    return "".join(parts)


def tree(group: click.Group, context: click.Context) -> Iterator[tuple[list[str], click.Command]]:
    """Each command below a group with the words that call it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None  # noqa: S101 - it is listed
        words = [*str(context.info_name).split(), name]
        yield words, command
        if isinstance(command, click.Group):
            yield from tree(command, click.Context(command, info_name=" ".join(words)))


def reference(folder: Path) -> None:
    """Pages of all public names, made by pdoc from their docstrings."""
    for name in MODULES:
        module = import_module(name)
        module.__all__ = sorted(module.__all__, key=lambda public: public != "GaussianMixture")
        for public in module.__all__:
            value = getattr(module, public)
            setattr(
                module, public, value
            )  # it is loaded on first use, and pdoc sees what is loaded
            explain(value)
    templates = ROOT / GUIDE / "templates"
    pdoc.render.configure(docformat="numpy", show_source=False, template_directory=templates)
    pdoc.pdoc(MODULES[0], r"!daskgmm\.plotting\.", output_directory=folder)
    for page in folder.rglob("*.html"):
        deep = "../" * (len(page.relative_to(folder).parts) - 1)
        text = to_commands(page.read_text("utf-8"), f"{deep}commands.html")
        page.write_text(re.sub(r"\):\s*</(p|li)>", r")</\1>", text), "utf-8")  # nothing follows


def explain(value: Any) -> None:
    """Take types from signatures, as docstrings tell them, and add all options of a job."""
    if inspect.isclass(value):
        for method in vars(value).values():
            explain(getattr(method, "__func__", method))
    if not inspect.isfunction(value):
        return
    signature = inspect.signature(value)
    parameters = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    last = list(signature.parameters.values())[-1:]
    if last and last[0].kind is last[0].VAR_KEYWORD and get_args(last[0].annotation):
        (kind,) = get_args(last[0].annotation)
        options = {k: v.option for k, v in declared(kind).items() if k not in signature.parameters}
        parameters[-1:] = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default)
            for name, option in options.items()
        ]
        told = [f"{k} : default {v.default!r}\n    {v.help}" for k, v in options.items()]
        text = inspect.cleandoc(value.__doc__ or "")
        head, _, rest = text.partition("\noptions\n")
        value.__doc__ = "\n".join([head, *told, re.sub(r"\A(    .*\n?)+", "", rest)])
    value.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]


def main() -> None:
    """Build into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the site, such as build/site")
    folder = parser.parse_args().folder
    Site(folder).build()
    print(f"{folder / 'index.html'}")


if __name__ == "__main__":
    main()
