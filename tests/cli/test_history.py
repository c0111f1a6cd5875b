"""Folders of runs: listed, compared and pruned."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from daskgmm import jobs, load
from daskgmm.data.storage.folder import Folder
from daskgmm.jobs.history import nights as history
from daskgmm.jobs.history.listing import runs_in
from daskgmm.jobs.locks import locked
from tests.support.command import here
from tests.support.stores import proxied

__all__ = ["here", "proxied"]

NAMES = ["speed", "height", "width ($)"]
CENTRES = np.array([[0, 0, 0], [6, 0, 2], [0, 6, -2]])
FIRST = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two nights' runs: a fit, and a fit of rows that have moved with another seed."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    for night, (move, order) in enumerate([(0, [0, 1, 2]), (0.5, [2, 0, 1])]):
        rows = np.repeat(CENTRES[order] + [0, move, 0], 60, axis=0) + rng.normal(size=(180, 3))
        pd.DataFrame(rows, columns=NAMES).to_csv(folder / f"{night}.csv", index=False)
        jobs.fit(str(folder / f"{night}.csv"), str(folder / f"{night}"), components=3, seed=night)
    return folder


@pytest.fixture
def nights(made, tmp_path):
    """Makes runs of a folder: complete ones in turn, or others with only a record."""
    folder = tmp_path / "nights"
    folder.mkdir()

    def make(night, state="complete", name=None):
        run = folder / (name or f"night-{night:03d}")
        run.mkdir()
        record = json.loads((made / f"{night % 2}" / "run.json").read_text())
        began = FIRST + timedelta(days=night)
        record |= {"run_id": f"{night:032x}", "state": state}
        record["timings"] = {"started": began.isoformat()}
        if state != "running":
            record["timings"] |= {"ended": began.isoformat(), "seconds": 1.5}
        if state == "complete":
            shutil.copy(made / f"{night % 2}" / "model.safetensors", run)
        else:
            del record["result"]
        (run / "run.json").write_text(json.dumps(record))
        return run

    make.folder = folder
    return make


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_a_folders_runs_are_listed_by_time_with_or_without_the_word(nights, here):
    nights(2)
    nights(0)
    nights(1, "failed")
    nights(3, "running")
    done = here("runs", nights.folder)
    assert (done.code, done.err) == (0, "")
    heading, *lines = (line.split() for line in done.out.splitlines())
    assert heading == ["run", "id", "state", "when", "rows", "K", "lower", "bound", "seconds"]
    assert [(line[0], line[2]) for line in lines] == [
        ("night-000", "complete"),
        ("night-001", "failed"),
        ("night-002", "complete"),
        ("night-003", "running"),
    ]
    bound = load(nights.folder / "night-000").lower_bound_
    assert lines[0][3:] == ["2026-11-01", "02:30Z", "180", "3", f"{bound:.6f}", "1.5"]
    assert lines[3][3:] == ["2026-11-04", "02:30Z", "-", "3", "-", "-"]
    assert here("runs", "list", nights.folder).out == done.out


@pytest.mark.slow
def test_json_has_every_value_in_full(nights, here):
    run = nights(0)
    nights(1, "running")
    done = here("runs", nights.folder, "--json")
    first, second = json.loads(done.out)
    record = json.loads((run / "run.json").read_text())
    assert first == {
        "run": str(run),
        "id": record["run_id"],
        "state": "complete",
        "when": FIRST.isoformat(),
        "rows": 180,
        "components": 3,
        "lower_bound": record["result"]["lower_bound"],
        "seconds": 1.5,
        "difference": None,
        "fault": None,
    }
    assert (second["state"], second["rows"], second["seconds"]) == ("running", None, None)


def test_what_is_no_run_is_passed_over_and_a_damaged_record_is_told(nights, here):
    nights(0)
    nights(1).joinpath("run.json").write_text("[]")
    (nights.folder / "notes").mkdir()
    (nights.folder / "notes.txt").touch()
    (nights.folder / "latest").symlink_to("night-000")
    done = here("runs", nights.folder)
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == ["night-001", "night-000"]
    assert "unreadable" in done.out
    assert "night-001/run.json is not the record of a run" in done.err


def test_only_records_are_read(nights, here, monkeypatch):
    for night in range(5):
        nights(night)
    read, inner = [], Folder.read
    monkeypatch.setattr(Folder, "read", lambda self, name: read.append(name) or inner(self, name))
    assert here("runs", nights.folder).code == 0
    assert read == ["run.json"] * 5


def test_a_missing_folder_is_no_input_and_an_empty_one_holds_no_runs(tmp_path, here):
    assert here("runs", tmp_path / "none").code == 66
    done = here("runs", "list", tmp_path, "--json")
    assert (done.code, json.loads(done.out)) == (0, [])
    assert "holds no runs" in done.err


@pytest.mark.slow
def test_a_store_is_listed_and_pruned_as_a_folder_is(nights, here, s3):
    for night in range(3):
        nights(night)
    s3.filesystem.put(str(nights.folder), f"{s3.url}/nights", recursive=True)
    url = f"{s3.url}/nights"
    done = here("runs", url, *s3.arguments)
    assert done.code == 0, done.err
    assert done.out == here("runs", nights.folder).out
    assert here("runs", "prune", url, "--keep", 1, "--yes", *s3.arguments).code == 0
    keys = s3.filesystem.find(url)
    assert {key.split("/")[2] for key in keys} == {"night-002", ".runs.json"}
    assert here("runs", f"{s3.url}/none", *s3.arguments).code == 66


@pytest.fixture
def stored(nights, here, s3, monkeypatch):
    """Lists a folder of a store that has a complete, a failed and a running run.

    Calling it gives what is shown, and which records were read.
    """
    for night, state in enumerate(["complete", "failed", "running"]):
        nights(night, state)
    read, inner = [], Folder.read
    monkeypatch.setattr(
        Folder,
        "read",
        lambda self, name: (
            (read.append(self.name[-9:]) if name == "run.json" else None) or inner(self, name)
        ),
    )

    def listed(options=s3):
        read.clear()
        done = here("runs", listed.url, *options.arguments)
        assert done.code == 0, done.err
        return done.out, sorted(read)

    listed.url = f"{s3.url}/nights"
    listed.index = f"{listed.url}/.runs.json"
    listed.everything = ["night-000", "night-001", "night-002"]
    s3.filesystem.put(str(nights.folder), listed.url, recursive=True)
    return listed


@pytest.mark.slow
def test_of_a_store_only_records_are_read_that_nobody_has_read_before(nights, s3, cache, stored):
    text, read = stored()
    assert read == stored.everything
    assert not cache.exists()  # it is for stores that are only read
    assert stored() == (text, ["night-002"])  # it is running
    again = json.loads((nights.folder / "night-000" / "run.json").read_text())
    again["timings"]["seconds"] = 77.5
    s3.filesystem.pipe(f"{stored.url}/night-000/run.json", json.dumps(again).encode())
    s3.filesystem.rm(f"{stored.url}/night-001", recursive=True)
    nights(3)
    s3.filesystem.put(str(nights.folder / "night-003"), f"{stored.url}/night-003", recursive=True)
    text, read = stored()
    assert read == ["night-000", "night-002", "night-003"]
    assert "77.5" in text
    assert "night-001" not in text
    assert stored() == (text, ["night-002"])
    index = s3.filesystem.cat(stored.index)
    assert s3.options["secret"].encode() not in index
    assert set(json.loads(index)["runs"]) == {"night-000", "night-003"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda _: b"\xff\x00",
        lambda _: b"[]",
        lambda _: b'{"layout": 1, "runs": {"night-000": 3, "night-001": ["x", 2]}}',
        lambda whole: whole.replace(b'"layout": 1', b'"layout": 2'),
        lambda whole: whole.replace(b'"run_id": "', b'"run_id": 1, "x": "'),
        lambda whole: whole.replace(b'"ended": "', b'"ended": 1, "x": "'),
        lambda whole: whole.replace(b'"complete"', b'"well"').replace(b'"failed"', b'"running"'),
    ],
)
def test_a_damaged_index_of_a_store_is_as_none_and_is_mended(s3, stored, damage):
    text, _ = stored()
    whole = s3.filesystem.cat(stored.index)
    s3.filesystem.pipe(stored.index, damage(whole))
    assert stored() == (text, stored.everything)
    assert s3.filesystem.cat(stored.index) == whole


@pytest.mark.slow
def test_a_store_that_is_only_read_has_its_index_in_the_users_cache(proxied, stored, cache):
    proxy, behind = proxied
    proxy.failure = lambda method, _: "denied" if method in ("PUT", "POST", "DELETE") else None
    text, read = stored(behind)
    assert read == stored.everything
    assert stored(behind) == (text, ["night-002"])
    (file,) = (cache / "daskgmm" / "runs").iterdir()
    file.write_bytes(b"{")
    assert stored(behind) == (text, stored.everything)
    shutil.rmtree(cache)
    cache.write_text("no folder")
    assert stored(behind) == (text, stored.everything)
    assert stored()[0] == text  # by somebody who may write
    assert stored(behind) == (text, ["night-002"])
    proxy.failure = lambda _, path: "denied" if ".runs.json" in path else None
    assert stored(behind) == (text, stored.everything)


@pytest.mark.slow
def test_an_index_knows_nothing_of_pruned_runs_and_goes_with_the_last(nights, here, s3, stored):
    nights(3)
    s3.filesystem.put(str(nights.folder / "night-003"), f"{stored.url}/night-003", recursive=True)
    s3.filesystem.rm(f"{stored.url}/night-002", recursive=True)  # the one that is running
    assert stored()[1] == ["night-000", "night-001", "night-003"]
    prune = ("runs", "prune", stored.url, "--yes", *s3.arguments)
    assert here(*prune, "--keep", 1).code == 0
    assert set(json.loads(s3.filesystem.cat(stored.index))["runs"]) == {"night-003"}
    assert stored()[1] == []
    assert here(*prune, "--older-than", "1h").code == 0
    assert s3.filesystem.find(stored.url) == []


def test_nothing_goes_without_yes(nights, here):
    for night in range(3):
        nights(night)
    done = here("runs", "prune", nights.folder, "--keep", 1)
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == ["night-000", "night-001"]
    assert "2 of 3 runs would be deleted: add --yes." in done.err
    assert len(names(nights.folder)) == 3


def test_complete_runs_are_kept_by_number_and_running_ones_always(nights, here):
    states = ["running", "failed", "complete", "complete", "failed", "complete", "failed"]
    for night, state in enumerate(states):
        nights(night, state)
    done = here("runs", "prune", nights.folder, "--keep", 2, "--yes")
    assert done.code == 0, done.err
    # Of the failed ones, the newer ones may still be resumed.
    kept = (0, 3, 4, 5, 6)
    assert names(nights.folder) == [f"night-{night:03d}" for night in kept]
    assert here("runs", "prune", nights.folder, "--keep", 5, "--yes").out == ""
    assert len(names(nights.folder)) == len(kept)


def test_age_decides_alone_or_together_with_a_number(nights, here):
    days = (datetime.now(UTC) - FIRST).days
    for night in (0, days - 10, days - 1):
        nights(night)
    nights(1, "running")
    everything = names(nights.folder)
    command = ("runs", "prune", nights.folder, "--older-than", "5d")
    assert here(*command, "--keep", 3, "--yes").out == ""
    assert names(nights.folder) == everything
    assert here(*command, "--keep", 2, "--yes").code == 0
    assert names(nights.folder) == everything[1:]
    assert here(*command, "--yes").code == 0
    assert names(nights.folder) == ["night-001", everything[-1]]


def test_a_folder_with_other_files_stays_and_ends_with_73(nights, here):
    nights(0).joinpath("notes.txt").write_text("mine")
    for night in (1, 2):
        nights(night)
    done = here("runs", "prune", nights.folder, "--keep", 1, "--yes")
    assert done.code == 73
    assert "holds other files as well" in done.err
    assert names(nights.folder) == ["night-000", "night-002"]
    assert names(nights.folder / "night-000") == ["model.safetensors", "notes.txt", "run.json"]


def test_a_run_that_is_being_replaced_stays(nights, here):
    busy = nights(0)
    nights(1)
    with locked(Folder.of(busy, {})):
        done = here("runs", "prune", nights.folder, "--keep", 1, "--yes")
        assert done.code == 73
        assert "is being written by" in done.err
    assert names(busy) == ["model.safetensors", "run.json"]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["prune", "x"], "--keep N, --older-than AGE"),
        (["prune", "x", "--keep", 0], "x>=1"),
        (["prune", "x", "--older-than", "30"], "not an age such as"),
        (["prune", "x", "--older-than", "9" * 30 + "d"], "not an age such as"),
        (["compare", "x"], "two or more"),
        (["list"], "Missing argument 'FOLDER'"),
        ([], "Missing command"),
    ],
)
def test_wrong_usage_is_told(here, arguments, cause):
    done = here("runs", *arguments)
    assert done.code == 2
    assert cause in done.err


def test_a_file_and_variables_set_options_of_the_commands_of_the_group(
    nights, here, tmp_path, monkeypatch
):
    for night in range(3):
        nights(night)
    (tmp_path / "job.toml").write_text("[runs-prune]\nkeep = 1\n")
    command = ("runs", "prune", nights.folder)
    config = ("--config", tmp_path / "job.toml")
    assert "2 of 3 runs would" in here(*command, *config).err
    monkeypatch.setenv("DASKGMM_RUNS_PRUNE_KEEP", "2")
    assert "1 of 3 runs would" in here(*command, *config).err
    assert "keep = 2" in here("config", "runs-prune").out
    monkeypatch.setenv("DASKGMM_RUNS_PRUNE_KEEPS", "2")
    assert "Did you mean" in here(*command).err


def test_components_are_compared_with_their_like(nights, here):
    runs = [nights(0), nights(1)]
    done = here("runs", "compare", *runs, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    before, after = map(load, runs)
    order = after.match(before)
    assert order.tolist() != [0, 1, 2]
    (pair,) = found["components"]
    assert [one["matched"] for one in pair["matched"]] == order.tolist()
    for k, one in enumerate(pair["matched"]):
        gap = after.means_[order[k]] - before.means_[k]
        shift = np.sqrt(gap @ before.precisions_[k] @ gap)
        divergence = before.divergence(after)[k, order[k]]
        np.testing.assert_allclose([one["shift"], one["divergence"]], [shift, divergence])
        assert one["weight_after"] == after.weights_[order[k]]
    assert found["options"]["seed"] == [0, 1]
    assert set(found["options"]) == {"seed", "inputs"}
    gain = after.lower_bound_ - before.lower_bound_
    np.testing.assert_allclose([run["gain"] for run in found["runs"]], [0, gain])
    text = here("runs", "compare", *runs).out
    assert f"{gain:+.6f}" in text
    assert "shift (sd)" in text


def test_a_component_that_is_the_same_has_no_shift_and_no_divergence(nights, here):
    run = nights(0)
    found = json.loads(here("runs", "compare", run, run / "model.safetensors", "--json").out)
    for k, one in enumerate(found["components"][0]["matched"]):
        assert (one["component"], one["matched"]) == (k, k)
        assert one["shift"] == 0
        assert one["divergence"] < 1e-12


@pytest.mark.slow
def test_models_of_other_sizes_are_compared_without_their_components(nights, made, here, tmp_path):
    jobs.fit(str(made / "0.csv"), str(tmp_path / "two"), components=2, seed=0)
    done = here("runs", "compare", nights(0), tmp_path / "two", "--plot", tmp_path / "two.png")
    assert done.code == 0, done.err
    assert "components are not matched" in done.out
    assert (tmp_path / "two.png").stat().st_size > 10_000


@pytest.mark.slow
def test_figures_are_written_for_a_folder_and_a_comparison(nights, here, tmp_path):
    runs = [nights(night) for night in range(3)]
    assert here("runs", nights.folder, "--plot", tmp_path / "nights.png").code == 0
    done = here("runs", "compare", *runs, "--plot", tmp_path / "both.svg", "--columns", NAMES[1])
    assert done.code == 0, done.err
    assert (tmp_path / "nights.png").stat().st_size > 10_000
    assert here("runs", nights.folder, "--plot", tmp_path / "nights.xyz").code == 2


@pytest.mark.parametrize("form", ["{}", "model-{}", "{}.2", "of_{}_"])
@pytest.mark.parametrize("day", ["2026-10-0{}", "2026100{}", "2026_10_0{}"])
def test_a_night_that_was_made_later_stands_on_its_day_in_the_figure(nights, form, day):
    for ended, number in enumerate([1, 3, 2]):
        nights(ended, name=form.format(day.format(number)))
    found = history.nights(runs_in(nights.folder))
    assert [night.when for night in found] == [datetime(2026, 10, k, tzinfo=UTC) for k in (1, 2, 3)]
    assert [night.reordered for night in found] == [False, False, True]  # 0 and 2 are one model


@pytest.mark.parametrize("name", ["2026-13-01", "20261", "120261001", "2026-1001", "run"])
def test_a_name_without_a_day_stands_for_the_time_when_the_run_ended(nights, name):
    nights(0, name=name)
    (night,) = history.nights(runs_in(nights.folder))
    assert night.when == FIRST
