"""Records of runs that hold anything: refused with 65 and a reason, or used rightly."""

import json

import pytest

from daskgmm import GaussianMixture, jobs, load
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DataError, MissingInputError
from daskgmm.jobs.locks import locked
from daskgmm.jobs.models import find_model
from tests.support.command import here
from tests.support.paths import IRIS

__all__ = ["here"]

COLUMNS = "sepal_length,sepal_width"


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """The two files of a run, by their names."""
    run = tmp_path_factory.mktemp("complete") / "run"
    jobs.fit(IRIS, str(run), columns=COLUMNS.split(","), components=2, seed=0)
    return {path.name: path.read_bytes() for path in run.iterdir()}


@pytest.fixture
def run(complete, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name, content in complete.items():
        (folder / name).write_bytes(content)
    return folder


def refit(here, run, *more):
    command = ("fit", IRIS, "--columns", COLUMNS, "-k", 2, "--seed", 0, "-o", run)
    return here(*command, "--no-progress", *more)


TEXTS = {
    "empty": b"",
    "no UTF-8": b"\xff\xfe",
    "list": b"[]",
    "number": b"3",
    "null": b"null",
    "brackets": b"[" * 100_000,
    "objects": b'{"state":' * 100_000,
    "digits": b'{"layout": ' + b"1" * 5_000 + b"}",
}


@pytest.mark.parametrize("what", TEXTS)
def test_a_record_of_anything_is_bad_data_and_stays(what, run, here):
    (run / "run.json").write_bytes(TEXTS[what])
    for command in (("show", run), ("plot", run, "-o", run.parent / "figure.png")):
        done = here(*command)
        assert (done.code, done.out) == (65, "")
        assert "run.json is not the record of a run" in done.err
    assert refit(here, run).code == 73
    assert (run / "run.json").read_bytes() == TEXTS[what]
    assert load(run).n_components == 2  # which needs no record


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


ODD = [
    ("configuration", "x", "'configuration' is a text"),
    ("configuration", [1], "'configuration' is a list"),
    ("configuration", {"a": nested(300)}, "nested more than"),
    ("inputs", ["a"], "'inputs' is a list"),
    ("inputs", {"sha256": 1, "files": []}, "'inputs.sha256' is a number"),
    ("inputs", {"sha256": "x", "files": [3]}, "'inputs.files' is a number"),
    ("state", "over", "'over'"),
    ("state", None, "'state' is null"),
    ("result", 3, "'result' is a number"),
    ("result", {}, "'result.rows' is missing"),
    ("seed", True, "'seed' is true"),
    ("seed", float("nan"), "NaN is not a number"),
    ("timings", {"ended": "x", "seconds": float("inf")}, "Infinity is not a number"),
    ("timings", {"ended": "x", "seconds": 10**400}, "401 digits"),
    ("trace", {}, "'trace' is a map"),
    ("run_id", 7, "'run_id' is a number"),
    ("layout", "2", "'layout' is a text"),
]


@pytest.mark.parametrize(("name", "value", "said"), ODD)
def test_an_odd_value_is_named(name, value, said, run, here):
    record = json.loads((run / "run.json").read_bytes())
    (run / "run.json").write_text(json.dumps(record | {name: value}))
    for options in ((), ("--json",)):
        done = here("show", run, *options)
        assert (done.code, said in done.err) == (65, True), done.err


def test_a_folder_in_its_place_is_no_record(run, here):
    (run / "run.json").unlink()
    (run / "run.json").mkdir()
    done = here("show", run)
    assert (done.code, "run.json is not the record of a run: it is a folder" in done.err) == (
        65,
        True,
    )
    assert refit(here, run).code == 73


def test_a_record_tells_its_layout_and_one_without_is_of_the_first(run, here):
    record = json.loads((run / "run.json").read_bytes())
    assert record.pop("layout") == 1
    (run / "run.json").write_text(json.dumps(record))
    assert find_model(str(run)).run.record["run_id"] == record["run_id"]
    assert "already complete" in refit(here, run).err


def test_the_run_of_a_later_version_is_refused_and_kept(run, here):
    later = json.dumps({"layout": 2, "versions": {"daskgmm": "9.8"}, "state": {"of": "things"}})
    (run / "run.json").write_text(later)
    done = here("show", run)
    assert done.code == 65
    assert "run.json was written by daskgmm 9.8 in layout 2; this version reads" in done.err
    assert "Upgrade daskgmm." in done.err
    done = refit(here, run)
    assert (done.code, "the run of a later version of daskgmm" in done.err) == (73, True)
    assert (run / "run.json").read_text() == later


@pytest.mark.slow
def test_a_complete_run_with_a_damaged_model_is_told_as_one(run, here):
    model = run / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    done = here("show", run)
    assert done.code == 65
    assert "is complete, but its model is damaged" in done.err
    assert "no pass" not in done.err
    assert "run the run's command again" in done.err
    assert refit(here, run).code == 0
    assert here("show", run).code == 0
    model.unlink()
    with pytest.raises(MissingInputError, match=r"is complete, but its model\.safetensors is gone"):
        find_model(str(run))
    model.mkdir()
    with pytest.raises(DataError, match=r"model\.safetensors is a folder"):
        find_model(str(run))


def test_a_lock_of_anything_is_nobodys(tmp_path):
    (tmp_path / ".lock").write_bytes(b"[" * 100_000)
    folder = Folder.of(tmp_path, {})
    with locked(folder):
        pass


def test_a_checkpoint_of_anything_is_bad_data(tmp_path):
    for content in (b"[" * 200_000, b'{"__metadata__":{"daskgmm":"' + b"[" * 100_000 + b'"}}'):
        path = tmp_path / "c"
        path.write_bytes(len(content).to_bytes(8, "little") + content)
        with pytest.raises(DataError, match="not a complete checkpoint"):
            GaussianMixture(2, checkpoint=path).fit([[0.0], [1.0], [2.0], [4.0]])
