"""The files that a forge reads: they fit its schemas and say what is true of the code."""

import re
import tomllib

import pytest
import yaml
from click.testing import CliRunner

from daskgmm import errors
from daskgmm.cli.main import daskgmm
from tests.support.paths import ROOT

GITHUB = ROOT / ".github"
GUIDE = (GITHUB / "CONTRIBUTING.md").read_text("utf-8")
SCHEMAS = {
    "workflows/ci.yml": "vendor.github-workflows",
    "workflows/release.yml": "vendor.github-workflows",
    "ISSUE_TEMPLATE/bug.yml": "vendor.github-issue-forms",
    "ISSUE_TEMPLATE/feature.yml": "vendor.github-issue-forms",
    "ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
}


def test_every_file_for_the_forge_has_a_schema():
    found = {path.relative_to(GITHUB).as_posix() for path in GITHUB.rglob("*.yml")}
    assert found == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_for_the_forge_fits_its_schema(name):
    from check_jsonschema import main

    arguments = ["--builtin-schema", SCHEMAS[name], str(GITHUB / name)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output


def jobs_of(workflow):
    return yaml.safe_load((GITHUB / "workflows" / workflow).read_text("utf-8"))["jobs"]


def test_the_workflows_run_on_each_python_that_the_package_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if " :: 3." in line]
    checks, trial = jobs_of("ci.yml")["checks"], jobs_of("release.yml")["try"]
    assert checks["strategy"]["matrix"]["python"] == named
    assert trial["strategy"]["matrix"]["python"] == named
    oldest = [step for step in jobs_of("ci.yml")["lowest"]["steps"] if "with" in step]
    assert oldest[0]["with"]["python-version"] == named[0]
    assert [step["run"] for step in checks["steps"] if "run" in step][-1] == ".ci/run"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_errors_ask_for_the_oldest_versions_that_extras_take():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = {line for lines in project["optional-dependencies"].values() for line in lines}
    assert {f"{package}>={oldest}" for package, oldest in errors._OLDEST.items()} <= required


@pytest.mark.parametrize("name", ["bug.yml", "feature.yml"])
def test_forms_ask_for_what_the_doctor_prints(name):
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / name).read_text("utf-8"))
    (asked,) = [field for field in form["body"] if field.get("id") == "doctor"]
    assert "`daskgmm doctor --json`" in asked["attributes"]["label"]
    help_text = CliRunner().invoke(daskgmm, ["doctor", "--help"]).output
    assert "--json" in help_text
    assert "--scheduler" in help_text


def test_files_and_folders_that_the_guide_names_are_there():
    named = set(re.findall(r"`([\w.-]+/[\w./-]*)`", GUIDE))
    floors = {name for name in named if (ROOT / "daskgmm" / name).is_dir()}
    examples = {name for name in named if "NAME" in name}
    paths = [ROOT / name for name in named - examples - floors] + [
        (ROOT / name).parent for name in examples
    ]
    assert len(paths) > 60
    missing = [path for path in paths if not path.exists()]
    assert missing == []


def test_names_that_the_guide_gives_are_in_the_code():
    package = "\n".join(path.read_text("utf-8") for path in (ROOT / "daskgmm").rglob("*.py"))
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    names = set(re.findall(r"`([A-Za-z_]\w*(?:\.\w+)?)(?:\(\))?`", GUIDE))
    missing = [name for name in names if name.rsplit(".", 1)[-1] not in package + tests]
    assert missing == []


def test_the_table_of_floors_is_in_the_order_of_the_import_contract():
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = contract["contracts"][0]["layers"]
    floors = [name.strip().removeprefix("daskgmm.") for line in layers for name in line.split("|")]
    table = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", GUIDE, re.MULTILINE)
    assert [name for name in table if name in floors] == floors
    folders = {path.parent.name for path in (ROOT / "daskgmm").glob("*/__init__.py")}
    assert set(table) == folders | {"errors"}
