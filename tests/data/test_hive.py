"""Tables whose directories are named ``key=value``."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture, open_dataset
from daskgmm.data.files.hive import Condition, partition_keys
from daskgmm.errors import ConfigurationError, DataError, InputTypeError, MissingInputError
from tests.support.blocks import all_rows
from tests.support.command import here  # noqa: F401  a fixture

DATES = ("2026-11-20", "2026-11-21", "2026-11-22")
HOURS = (8, 9, 10)


@pytest.fixture
def table(tmp_path):
    """Parquet by date and hour; x tells which of them, in steps of ten and one."""
    for i, date in enumerate(DATES):
        for j, hour in enumerate(HOURS):
            folder = tmp_path / "rows" / f"date={date}" / f"hour={hour}"
            folder.mkdir(parents=True)
            values = pa.table({"x": [10.0 * i + j] * 4, "y": np.arange(4.0)})
            pq.write_table(values, folder / "part-0.parquet")
    return tmp_path / "rows"


def cells(dataset):
    return sorted({int(x) for x in all_rows(dataset.source(["x"]))[:, 0]})


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, [0, 1, 2, 10, 11, 12, 20, 21, 22]),
        ("date=2026-11-21", [10, 11, 12]),
        ("date != 2026-11-21", [0, 1, 2, 20, 21, 22]),
        ("date>2026-11-20", [10, 11, 12, 20, 21, 22]),
        (["date>=2026-11-21", "date<2026-11-22"], [10, 11, 12]),
        ("hour>=9", [1, 2, 11, 12, 21, 22]),
        ("hour=08", [0, 10, 20]),
        (["date<=2026-11-20", "hour<10"], [0, 1]),
        (["hour=10", "date=2026-11-22"], [22]),
    ],
)
@pytest.mark.parametrize("place", ["directory", "pattern", "store"])
def test_conditions_choose_directories(table, where, expected, place):
    path, memory = table, MemoryFileSystem()
    if place == "pattern":
        path = f"{table}/*/*/*.parquet"
    elif place == "store":
        memory.put(str(table), "/hive/", recursive=True)
        path = "memory://hive"
    assert cells(open_dataset(path, where=where)) == expected
    memory.store.clear()


def test_what_is_excluded_is_neither_listed_nor_opened(table, monkeypatch):
    touched = []
    for name in ("ls", "find", "open"):
        method = getattr(LocalFileSystem, name)

        def noted(self, path, *arguments, method=method, **options):
            touched.append(str(path))
            return method(self, path, *arguments, **options)

        monkeypatch.setattr(LocalFileSystem, name, noted)
    open_dataset(table, where="date=2026-11-21")
    assert any("date=2026-11-21" in path for path in touched)
    assert not any("11-20" in path or "11-22" in path for path in touched)


def test_an_unknown_key_is_told_the_known_ones(table):
    with pytest.raises(ConfigurationError, match=r"named day=.*keys are date, hour;.*columns"):
        open_dataset(table, where="day=1")
    with pytest.raises(ConfigurationError, match=r"named x=…, so x>3"):
        open_dataset(table, where=["date=2026-11-21", "x>3"])
    plain = table / "date=2026-11-20" / "hour=8"
    with pytest.raises(ConfigurationError, match="named day="):
        open_dataset(plain / "part-0.parquet", where="day=1")


def test_a_file_beside_the_partitions_has_no_key(table):
    pq.write_table(pa.table({"x": [1.0], "y": [1.0]}), table / "more.parquet")
    with pytest.raises(ConfigurationError, match="named date="):
        open_dataset(table, where="date=2026-11-21")


def test_where_nothing_is_left_the_values_there_are_told(table):
    with pytest.raises(MissingInputError, match=r"with date=2026-11-23\. .*date is 2026-11-20, "):
        open_dataset(table, where="date=2026-11-23")
    with pytest.raises(MissingInputError, match=r"date=2026-11-21 and hour>10.*hour is 8, 9, 10"):
        open_dataset(table, where=["date=2026-11-21", "hour>10"])


@pytest.mark.parametrize("where", ["date", "=3", "", "date~3"])
def test_what_is_no_condition_is_refused(table, where):
    with pytest.raises(ConfigurationError, match="form KEY=VALUE"):
        open_dataset(table, where=[where])


def test_keys_are_columns_where_they_are_asked_for(table):
    dataset = open_dataset(table, where="date=2026-11-22")
    assert dataset.columns == ("x", "y")
    assert dataset.select(columns=["x", "hour"]).source().dtype == np.float64
    found = all_rows(dataset.source(["hour", "x"]))
    assert {tuple(row) for row in found} == {(8.0, 20.0), (9.0, 21.0), (10.0, 22.0)}
    part = dataset.select(keep=["date", "hour", "y"]).source(["x"]).parts[0]
    (block,) = part.read()
    assert block.kept.to_pydict() == {
        "date": ["2026-11-22"] * 4, "hour": [8] * 4, "y": [0.0, 1.0, 2.0, 3.0]
    }  # fmt: skip
    with pytest.raises(InputTypeError, match=r"'date'.*not numeric"):
        dataset.source(["x", "date"])
    with pytest.raises(DataError, match="'day'"):
        dataset.select(keep=["day"])


def test_a_column_of_the_file_goes_before_a_key_of_its_name(tmp_path):
    (tmp_path / "x=7").mkdir()
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "x=7" / "a.parquet")
    assert all_rows(open_dataset(tmp_path).source(["x"])).item() == 1.0


def test_keys_of_csv_files_are_columns_too(tmp_path):
    for day in (1, 2):
        (tmp_path / f"day={day}").mkdir()
        pd.DataFrame({"x": [day * 1.5]}).to_csv(tmp_path / f"day={day}" / "a.csv", index=False)
    dataset = open_dataset(tmp_path)
    assert dataset.columns == ("x",)
    assert_array_equal(all_rows(dataset.source(["x", "day"])), [[1.5, 1], [3, 2]])
    (block,) = dataset.select(keep=["day"]).source(["x"]).parts[1].read()
    assert block.kept.to_pydict() == {"day": [2]}


def test_names_are_decoded_and_nulls_are_none():
    path = "/a/town=S%C3%A3o%20Paulo/k=__HIVE_DEFAULT_PARTITION__/x=1=2/f=3"
    assert partition_keys(path) == {"town": "São Paulo", "k": None, "x": "1=2"}
    assert not Condition.of("k!=3").holds(None)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("k=1", "01", True), ("k<10", "9", True), ("k<10", "9a", False), ("k=1e3", "1000", True),
        ("k = a b ", "a b", True), ("k!=a", "b", True), ("k>=2026-01", "2026-01-01", True),
        ("k=nan", "nan", True), ("k<=-1", "-2.5", True),
    ],
)  # fmt: skip
def test_values_compare_as_numbers_where_both_are(text, value, expected):
    assert Condition.of(text).holds(value) is expected


@pytest.mark.slow
def test_the_command_line_chooses_and_keeps_them(table, tmp_path, here):  # noqa: F811
    run, out = tmp_path / "run", tmp_path / "out"
    fit = ("fit", table, "-k", "1", "-o", run, "--seed", "0", "--no-progress")
    done = here(*fit, "--where", "date=2026-11-21", "--where", "hour!=9")
    assert done.code == 0, done.err
    record = json.loads((run / "run.json").read_text())
    assert record["configuration"]["where"] == ["date=2026-11-21", "hour!=9"]
    assert here(*fit, "--where", "date=2026-11-21").code not in (0, 70)
    assert here(*fit, "--where", "day=1").code == 2
    assert here(*fit, "--where", "date=2026-11-24").code == 66
    done = here("predict", run, table, "-o", out, "--where", "hour=8", "--keep", "date,hour")
    assert done.code == 0, done.err
    labels = pd.read_parquet(out)
    assert sorted(set(labels["date"])) == list(DATES)
    assert set(labels["hour"]) == {8}
    told = here("score", run, table, "--where", "hour=8", "--json")
    assert json.loads(told.out)["rows"] == 12


def test_a_fit_of_chosen_partitions_is_that_of_their_rows(table):
    dataset = open_dataset(table, where="date=2026-11-21")
    rows = all_rows(dataset.source())
    found = GaussianMixture(1, random_state=0).fit(dataset)
    np.testing.assert_allclose(found.means_[0], rows.mean(axis=0))


def test_kept_keys_are_text_unless_their_numbers_are_written_so(tmp_path):
    for zip_code, version in (("00501", "1.10"), ("90210", "1.9")):
        folder = tmp_path / f"zip={zip_code}" / f"version={version}" / "day=7"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"x": [1.0]}), folder / "a.parquet")
    dataset = open_dataset(tmp_path).select(keep=["zip", "version", "day"])
    kept = [next(part.read()).kept.to_pylist()[0] for part in dataset.source(["x"]).parts]
    assert kept == [
        {"zip": "00501", "version": "1.10", "day": 7},
        {"zip": "90210", "version": "1.9", "day": 7},
    ]
    assert all_rows(dataset.source(["x", "zip"]))[:, 1].tolist() == [501, 90210]
