"""Tables with versions: Delta Lake and Apache Iceberg, whose data files are Parquet."""
