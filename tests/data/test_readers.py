"""Outputs as users read them: by the folder's plain name, with the packages that they have."""

import warnings

import pytest

from daskgmm import jobs
from tests.support.rows import NAMES, prepare


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("readers"))


def predicted(rows, folder):
    jobs.predict(str(rows.saved), str(rows.parquet), folder, keep=["id", "word"])
    return folder


def drawn(rows, folder):
    jobs.sample(str(rows.saved), folder, n=1000, seed=1, with_labels=True)
    return folder


@pytest.fixture(scope="module", params=[predicted, drawn])
def folder(request, rows, tmp_path_factory):
    return request.param(rows, str(tmp_path_factory.mktemp("readers") / "labelled"))


def pandas(folder):
    import pandas as pd

    return pd.read_parquet(folder)


def polars(folder):
    import polars as pl

    return pl.read_parquet(folder).to_pandas()


def polars_lazily(folder):
    import polars as pl

    return pl.scan_parquet(folder).collect().to_pandas()


def pyarrow(folder):
    import pyarrow.parquet as pq

    return pq.read_table(folder).to_pandas()


def pyarrow_dataset(folder):
    import pyarrow.dataset as ds

    return ds.dataset(folder).to_table().to_pandas()


def dask(folder):
    import dask.dataframe as dd

    return dd.read_parquet(folder).compute()


def duckdb(folder):
    import duckdb

    return duckdb.connect().read_parquet(folder).df()


READERS = [pandas, polars, polars_lazily, pyarrow, pyarrow_dataset, dask, duckdb]


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's own, for pandas' next version
@pytest.mark.parametrize("read", READERS)
def test_a_folder_is_read_by_its_plain_name(rows, folder, read):
    found = read(folder)
    assert len(found) == 1000
    if "id" in found:
        assert list(found.columns) == ["id", "word", "label"]
        assert found["id"].tolist() == rows.frame["id"].tolist()
        assert found["label"].tolist() == rows.model.predict(rows.frame[NAMES]).tolist()
    else:
        assert list(found.columns) == [*NAMES, "label"]


@pytest.mark.slow
def test_spark_reads_a_folder_by_its_plain_name(rows, tmp_path):
    sql = pytest.importorskip("pyspark.sql")
    folder = predicted(rows, str(tmp_path / "labelled"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the session's own, about versions of pandas
        builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
        session = builder.getOrCreate()
        try:
            found = session.read.parquet(folder).orderBy("id").select("label").collect()
        finally:
            session.stop()
    assert [row[0] for row in found] == rows.model.predict(rows.frame[NAMES]).tolist()
