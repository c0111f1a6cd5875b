"""Columns by name from the shell: commas between them, commas in them, given once or again."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.command import here

__all__ = ["here"]

COMMA, DEGREES = "Wind, Böen", "Temperatur °C"


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A file of three columns of numbers, one of which has a comma in its name."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 3)), columns=["a", COMMA, DEGREES])
    frame.to_csv("rows.csv", index=False)
    return Path("rows.csv")


@pytest.fixture
def fitted_on(here, rows):
    """The columns that a fit with these options records."""

    def columns(*options):
        done = here("fit", rows, "-k", 1, "-o", "run", *options)
        assert done.code == 0, done.err
        return json.loads(Path("run/run.json").read_text())["configuration"]["columns"]

    return columns


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "columns"),
    [
        (("--columns", DEGREES, "--columns", "a"), [DEGREES, "a"]),
        (("--columns", f'a,"{COMMA}"'), ["a", COMMA]),
        (("--columns", f'"{COMMA}"', "--columns", f"{DEGREES} , a"), [COMMA, DEGREES, "a"]),
    ],
)
def test_columns_add_up_and_quotes_hold_commas(fitted_on, options, columns):
    assert fitted_on(*options) == columns


@pytest.mark.slow
def test_a_list_of_a_file_has_names_as_they_are(fitted_on, here):
    Path("job.toml").write_text(f'columns = ["{COMMA}", "a"]\n', encoding="utf-8")
    assert fitted_on("--config", "job.toml") == [COMMA, "a"]
    shown = here("config", "fit", "--config", "job.toml").out
    assert f'columns = ["{COMMA}", "a"]' in shown
    as_json = here("config", "fit", "--config", "job.toml", "--json").out
    assert COMMA in as_json


@pytest.mark.slow
def test_a_variable_has_names_with_blanks_in_them(fitted_on, monkeypatch):
    monkeypatch.setenv("DASKGMM_COLUMNS", f'"{COMMA}",{DEGREES}')
    assert fitted_on() == [COMMA, DEGREES]


@pytest.mark.slow
def test_what_is_kept_and_what_is_written_add_up_too(fitted_on, here, rows):
    assert fitted_on("--columns", "a") == ["a"]
    done = here(
        "predict", "run", rows, "-o", "out", "--keep", f'"{COMMA}"', "--keep", DEGREES,
        "--with", "labels", "--with", "log-density",
    )  # fmt: skip
    assert done.code == 0, done.err
    written = pd.read_parquet("out")
    assert list(written.columns) == [COMMA, DEGREES, "label", "log_density"]


def test_a_name_that_was_parted_at_its_comma_is_told_with_its_quotes(here, rows):
    done = here("fit", rows, "-k", 1, "-o", "run", "--columns", f"a,{COMMA}")
    assert done.code == 65
    assert "has no column 'Wind', nor 'Böen'." in done.err
    remedy = f"""There is '{COMMA}': put it in double quotes, as in --columns 'a,"{COMMA}"'."""
    assert remedy in done.err


@pytest.mark.parametrize(
    ("value", "cause"),
    [('a,"b', "double quote"), ("a,,b", "empty name"), ("", "no names")],
)
def test_what_makes_no_names_is_refused(here, rows, value, cause):
    done = here("fit", rows, "-k", 1, "-o", "run", "--columns", value)
    assert (done.code, cause in done.err) == (2, True)
