"""Values that are not finite are found, with their place, in every kind of source."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest

from daskgmm import GaussianMixture, open_dataset
from daskgmm.errors import DataError
from daskgmm.model.nonfinite import Flaw

N, PER_PART, ROW, FEATURE = 120, 30, 74, 1
NAMES = ["a", "b", "c"]


def flawed(value, *, also_later=True):
    rows = np.random.default_rng(0).normal(size=(N, 3))
    rows[ROW, FEATURE] = value
    if also_later:
        rows[ROW + 3] = value  # not told
        rows[-1] = value
    return rows


def unknown(rows):
    return da.from_array(rows, chunks=(PER_PART, 3))[da.ones(len(rows), chunks=PER_PART) > 0]


def in_files(rows, folder, kind):
    frame = pd.DataFrame(rows, columns=NAMES)
    for i in range(0, N, PER_PART):
        piece = frame[i : i + PER_PART]
        path = folder / f"{i:03d}.{kind}"
        piece.to_parquet(path) if kind == "parquet" else piece.to_csv(path, index=False)
    return open_dataset(folder)


SOURCES = {
    "numpy": lambda rows, _: rows,
    "float32": lambda rows, _: rows.astype(np.float32),
    "pandas": lambda rows, _: pd.DataFrame(rows, columns=NAMES),
    "polars": lambda rows, _: pl.DataFrame(rows, schema=NAMES),
    "dask array": lambda rows, _: da.from_array(rows, chunks=(PER_PART, 3)),
    "dask array of unknown lengths": lambda rows, _: unknown(rows),
    "dask DataFrame": lambda rows, _: dd.from_pandas(
        pd.DataFrame(rows, columns=NAMES), npartitions=4
    ),
    "parquet": lambda rows, folder: in_files(rows, folder, "parquet"),
    "csv": lambda rows, folder: in_files(rows, folder, "csv"),
}
IN_PARTS = [name for name in SOURCES if name not in ("numpy", "float32", "pandas", "polars")]
NAMED = ["pandas", "polars", "dask DataFrame", "parquet", "csv"]


@pytest.mark.parametrize("kind", list(SOURCES))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_fit_tells_the_first_value_that_is_not_finite_with_part_row_and_column(
    kind, value, tmp_path
):
    X = SOURCES[kind](flawed(value), tmp_path)
    with pytest.raises(DataError) as caught:
        GaussianMixture(2).fit(X)
    text = caught.value.cause
    assert ("NaN" if np.isnan(value) else "infinity") in text
    assert f"row {ROW} of all" in text
    if kind in IN_PARTS:
        line = f" (line {ROW - 60 + 2})" if kind == "csv" else ""
        assert f"row {ROW - 60}{line}," in text
        assert ("partition 2" in text) or ("060." in text)
    assert ("'b'" if kind in NAMED else "feature 1") in text
    assert caught.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(SOURCES))
@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples"])
def test_predictions_refuse_what_is_not_finite(kind, method, tmp_path):
    rows = flawed(np.nan)
    frame_like = pd.DataFrame(rows[:60], columns=NAMES) if kind in NAMED else rows[:60]
    model = GaussianMixture(2, random_state=0).fit(frame_like)
    X = SOURCES[kind](rows, tmp_path)
    with pytest.raises(DataError, match="NaN"):
        np.asarray(getattr(model, method)(X))


@pytest.mark.parametrize("kind", [*(k for k in IN_PARTS if k != "dask DataFrame")])
def test_predictions_and_scores_tell_the_part(kind, tmp_path):
    # Two bad parts run at the same time, and either may be the first to fail.
    rows = flawed(np.nan, also_later=False)
    frame_like = pd.DataFrame(rows[:60], columns=NAMES) if kind in NAMED else rows[:60]
    model = GaussianMixture(2, random_state=0).fit(frame_like)
    X = SOURCES[kind](rows, tmp_path)
    for call in (lambda: model.predict(X).compute(), lambda: model.score(X)):
        with pytest.raises(DataError, match=r"partition 2|060\."):
            call()


def test_predictions_on_a_dask_frame_tell_the_partition():
    rows = flawed(np.nan, also_later=False)
    model = GaussianMixture(2, random_state=0).fit(pd.DataFrame(rows[:60], columns=NAMES))
    with pytest.raises(DataError, match="partition 2"):
        model.predict(SOURCES["dask DataFrame"](rows, None)).compute()


def test_in_a_part_of_several_blocks_rows_are_counted_from_its_start(tmp_path):
    rows = flawed(np.nan)
    path = tmp_path / "all.parquet"
    pd.DataFrame(rows, columns=NAMES).to_parquet(path)
    dataset = open_dataset(path, block_rows=50)
    with pytest.raises(DataError, match=f"row {ROW}, .*row {ROW} of all"):
        GaussianMixture(2).fit(dataset)


def test_predictions_count_rows_from_the_start_of_the_part(tmp_path):
    rows = flawed(np.nan)
    path = tmp_path / "all.parquet"
    pd.DataFrame(rows, columns=NAMES).to_parquet(path)
    model = GaussianMixture(2, random_state=0).fit(pd.DataFrame(rows[:60], columns=NAMES))
    with pytest.raises(DataError, match=f"row {ROW}"):
        model.predict(open_dataset(path, block_rows=50)).compute()


def test_values_whose_sum_overflows_are_finite_all_the_same():
    rows = np.array([[1e308, 1.0], [1e308, 2.0], [1e308, 3.0]])
    assert Flaw.in_rows(rows.T) is None
    rows[2, 1] = -np.inf
    found = Flaw.in_rows(rows.T).after(10)
    assert (found.row, found.feature, found.value) == (12, 1, -np.inf)


def test_values_too_large_to_be_squared_are_an_error_not_a_nan():
    rows = np.random.default_rng(0).normal(size=(50, 2)) * 1e200
    with pytest.raises(DataError):
        GaussianMixture(2, random_state=0).fit(rows)
