"""Missing values replaced from the command line."""

import numpy as np
import pandas as pd
import pytest

from daskgmm import GaussianMixture, load
from tests.support.command import here
from tests.support.rows import overlapping

__all__ = ["here"]

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("impute")
    rows = pd.DataFrame(overlapping(500, 3), columns=NAMES)
    GaussianMixture(3, random_state=0).fit(rows).save(folder / "model.safetensors")
    gaps = rows.mask(np.random.default_rng(0).random(rows.shape) < 0.3)
    gaps.insert(0, "id", range(500))
    gaps.to_parquet(folder / "gaps.parquet", row_group_size=130, index=False)
    gaps.to_csv(folder / "gaps.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    rows = pd.read_parquet(folder / "gaps.parquet")[NAMES]
    return load(folder / "model.safetensors").impute(rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaps.parquet", "gaps.csv"])
def test_missing_values_are_replaced_and_others_stay(folder, tmp_path, here, expected, name):
    command = ("impute", folder / "model.safetensors", folder / name, "-o", tmp_path / "out")
    done = here(*command, "--keep", "id")
    assert done.code == 0, done.err
    assert "500 rows" in done.out
    assert "Filling gaps in " in done.err
    assert " of 3 columns in this process." in done.err
    found = pd.read_parquet(tmp_path / "out")
    assert list(found.columns) == ["id", *NAMES]
    pd.testing.assert_frame_equal(found[NAMES], expected, check_exact=True)
    assert list(found["id"].astype(int)) == list(range(500))
    again = here(*command, "--keep", "id")
    assert again.code == 0
    assert "already complete" in again.err


@pytest.mark.slow
def test_zarr_holds_the_rows(folder, tmp_path, here, expected):
    zarr = pytest.importorskip("zarr")
    out = tmp_path / "out.zarr"
    assert (
        here("impute", folder / "model.safetensors", folder / "gaps.parquet", "-o", out).code == 0
    )
    np.testing.assert_array_equal(zarr.open_group(out, mode="r")["rows"][:], expected)


def test_an_infinite_value_is_named(folder, tmp_path, here):
    rows = pd.DataFrame(np.zeros((9, 3)), columns=NAMES)
    rows.loc[4, "b"] = np.inf
    rows.loc[2, "a"] = np.nan
    rows.to_parquet(tmp_path / "rows.parquet")
    run = (folder / "model.safetensors", tmp_path / "rows.parquet", "-o", tmp_path / "out")
    done = here("impute", *run)
    assert done.code == 65
    assert "row 4, column 'b' is infinity" in done.err
    assert here("predict", *run).code == 65


def test_a_kept_column_of_the_model_is_refused(folder, tmp_path, here):
    command = ("impute", folder / "model.safetensors", folder / "gaps.parquet", "--keep", "a")
    done = here(*command, "-o", tmp_path / "out")
    assert done.code == 2
    assert "'a' has the same name" in done.err
