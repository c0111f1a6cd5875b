"""Jobs on tables with versions: their records have the version, not the marks of files."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.support.command import here
from tests.support.icebergs import catalog_at

__all__ = ["here"]


@pytest.fixture
def table(tmp_path):
    rows = np.random.default_rng(0).normal(size=(90, 2))
    path = tmp_path / "table"
    days = np.repeat([1, 2, 3], 30)
    write_deltalake(str(path), frame(rows, days), partition_by="day")
    return path


def frame(rows, days):
    return pa.table({"a": rows[:, 0], "b": rows[:, 1], "day": days})


def fit(here, table, *options):
    return here("fit", table, "-k", 2, "-o", table.parent / "run", "--seed", 0, *options)


@pytest.mark.slow
def test_the_record_has_the_tables_version_and_the_same_command_is_complete(here, table):
    assert fit(here, table).code == 0
    record = json.loads((table.parent / "run" / "run.json").read_text())
    (file,) = record["inputs"]["files"]
    assert file["path"] == str(table)
    assert (file["version"], file["rows"], file["modified"]) == (0, 90, None)
    assert file["table"] == str(DeltaTable(str(table)).metadata().id)
    for each in table.rglob("*"):
        os.utime(each, (1, 1))
    again = fit(here, table)
    assert again.code == 0
    assert "already complete" in again.err


@pytest.mark.slow
def test_another_version_is_other_input_and_the_recorded_one_can_be_named(here, table):
    assert fit(here, table).code == 0
    write_deltalake(str(table), frame(np.ones((5, 2)), np.ones(5, np.int64)), mode="append")
    now = fit(here, table)
    assert now.code == 73
    assert "versions of them" in now.err
    then = fit(here, table, "--version", 0)
    assert then.code == 0
    assert "already complete" in then.err


@pytest.mark.slow
def test_a_version_that_leaves_the_chosen_partitions_alone_is_the_same_input(here, table):
    night, out = ("--where", "day=1"), table.parent / "labels"

    def label():
        return here("predict", table.parent / "run", table, *night, "-o", out)

    assert (fit(here, table, *night).code, label().code) == (0, 0)
    write_deltalake(str(table), frame(np.ones((5, 2)), np.full(5, 4)), mode="append")
    for again in (fit(here, table, *night), label()):
        assert again.code == 0, again.err
        assert "already complete" in again.err
    DeltaTable(str(table)).delete("day = 1 and a > 0")
    for other in (fit(here, table, *night), label()):
        assert other.code == 73
        assert "versions of them" in other.err


@pytest.mark.slow
def test_a_column_that_was_added_is_other_input(here, table):
    night = ("--where", "day=1")
    assert fit(here, table, *night).code == 0
    wider = frame(np.ones((5, 2)), np.full(5, 4)).append_column("c", pa.array(np.ones(5)))
    write_deltalake(str(table), wider, mode="append", schema_mode="merge")
    assert fit(here, table, *night).code == 73


@pytest.mark.slow
def test_only_the_chosen_partitions_are_fitted_scored_and_labelled(here, table):
    days = ("--where", "day>=2")
    assert fit(here, table, *days).code == 0
    run, out = table.parent / "run", table.parent / "labels"
    record = json.loads((run / "run.json").read_text())
    assert record["inputs"]["files"][0]["rows"] == 60
    scored = here("score", run, table, *days, "--json")
    assert json.loads(scored.out)["rows"] == 60
    labelled = here("predict", run, table, *days, "-o", out, "--keep", "day")
    assert labelled.code == 0, labelled.err
    assert pq.read_table(out)["day"].to_pylist() == [2] * 30 + [3] * 30
    other = here("predict", run, table, "--where", "day=3", "-o", out, "--keep", "day")
    assert other.code == 73


@pytest.mark.slow
def test_the_command_line_chooses_a_version_or_a_time(here, table):
    write_deltalake(str(table), frame(np.ones((5, 2)), np.ones(5, np.int64)), mode="append")
    assert fit(here, table).code == 0
    run = table.parent / "run"
    for options, rows in ((("--version", 0), 90), ((), 95)):
        found = here("score", run, table, *options, "--json")
        assert json.loads(found.out)["rows"] == rows
    early = here("score", run, table, "--as-of", "2000-01-01")
    assert early.code == 66
    assert "has no version as old as" in early.err


@pytest.mark.slow
def test_an_update_with_rows_that_a_run_has_read_is_warned_of(here, table):
    assert fit(here, table).code == 0
    run = table.parent / "run"
    write_deltalake(str(table), frame(np.ones((5, 2)), np.full(5, 4)), mode="append")
    whole = here("update", run, table, "-o", table.parent / "next")
    assert "their rows count twice" in whole.err
    new = here("update", run, table, "--where", "day=4", "-o", table.parent / "other")
    assert new.code == 0, new.err
    assert "count twice" not in new.err


@pytest.mark.slow
def test_an_iceberg_table_of_a_catalog_is_fitted_again_and_again(here, tmp_path):
    catalog, options = catalog_at(tmp_path)
    rows = frame(np.random.default_rng(0).normal(size=(60, 2)), np.repeat([1, 2], 30))
    table = catalog.create_table("db.rows", rows.schema)
    table.append(rows)
    first = table.current_snapshot().snapshot_id
    named = ("--format", "iceberg", f"--storage-option=uri={options['uri']}")
    command = ("fit", "default.db.rows", "-k", 2, "-o", tmp_path / "run", "--seed", 0, *named)
    assert here(*command).code == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["inputs"]["files"][0]["version"] == first
    assert "already complete" in here(*command).err
    table.append(rows)
    assert here(*command).code == 73
    assert "already complete" in here(*command, "--version", first).err
    folder = table.location().removeprefix("file://")
    scored = here("score", tmp_path / "run", folder, "--json")
    assert json.loads(scored.out)["rows"] == 120
    catalog.close()
