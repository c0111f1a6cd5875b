"""Rows in an object store, over real HTTP."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from daskgmm import GaussianMixture, open_dataset
from daskgmm.data.storage import retry
from daskgmm.errors import ClusterError, ConfigurationError, DataError, MissingInputError
from tests.support.blocks import all_rows
from tests.support.command import here, in_process  # noqa: F401  a fixture
from tests.support.stores import KEY, SECRET

X = np.random.default_rng(0).normal(size=(400, 3))
FORMATS = ["a.parquet", "a.csv", "a.csv.gz", "c.npy", "f.npy", "a.h5", "a.zarr"]


def put(store, name, rows=X):
    """Write rows into the bucket in the format that the name tells."""
    frame, buffer = pd.DataFrame(rows, columns=list("abc")), BytesIO()
    if name.endswith(".zarr"):
        return put_zarr(store, name, rows)
    if name.endswith(".parquet"):
        frame.to_parquet(buffer)
    elif ".csv" in name:
        compression = "gzip" if name.endswith(".gz") else None
        frame.to_csv(buffer, index=False, compression=compression)
    elif name.endswith(".npy"):
        np.save(buffer, np.asarray(rows, order="F" if name.startswith("f") else "C"))
    else:
        import h5py

        with h5py.File(buffer, "w") as file:
            file.create_dataset("x", data=rows, chunks=(100, 2), compression="gzip")
    store.filesystem.pipe(f"{store.url}/{name}", buffer.getvalue())
    return f"{store.url}/{name}"


def put_zarr(store, name, rows):
    import zarr

    written = {}
    array = zarr.create_array(written, shape=rows.shape, dtype=rows.dtype, chunks=(150, 2))
    array[:] = rows
    for key, content in written.items():
        store.filesystem.pipe(f"{store.url}/{name}/{key}", content.to_bytes())
    return f"{store.url}/{name}"


@pytest.fixture
def impatient(monkeypatch):
    """Storage that still fails is tried again twice, at once."""
    import s3fs

    monkeypatch.setattr(retry, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)


def failing(kind, count, method="GET"):
    """Let that many requests for objects fail."""
    left = [count]

    def failure(asked, path):
        if asked != method or "list-type" in path or left[0] == 0:
            return None
        left[0] -= 1
        return kind

    return failure


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read(s3, name):
    url = put(s3, name)
    dataset = open_dataset(url, storage_options=s3.options)
    assert dataset.paths == (url,)
    assert dataset.files[0].etag is not None
    np.testing.assert_allclose(all_rows(dataset.source()), X, rtol=1e-15)


@pytest.mark.slow
def test_a_bucket_is_searched_and_partitions_are_chosen(s3):
    for day in (1, 2, 3):
        for part in (0, 1):
            put(s3, f"rows/day={day}/{part}.parquet", X + day)
    dataset = open_dataset(f"{s3.url}/rows", storage_options=s3.options)
    assert len(dataset.files) == 6
    assert all(file.bytes > 0 and file.etag is not None for file in dataset.files)
    chosen = open_dataset(f"{s3.url}/rows", storage_options=s3.options, where="day>=2")
    assert chosen.files == dataset.files[2:]
    assert len(open_dataset(f"{s3.url}/rows/*/0.parquet", storage_options=s3.options).files) == 3


def test_excluded_partitions_are_not_asked_for(s3, proxied):
    proxy, store = proxied
    for day in (1, 2):
        put(s3, f"rows/day={day}/a.parquet")
    open_dataset(f"{s3.url}/rows", storage_options=store.options, where="day=2")
    assert any("day%3D2" in path for _, path in proxy.requests)
    assert not any("day%3D1" in path for _, path in proxy.requests)


def test_a_listing_from_before_is_not_believed(s3):
    put(s3, "rows/a.parquet")
    options = {"storage_options": s3.options}
    assert len(open_dataset(f"{s3.url}/rows", **options).files) == 1
    put(s3, "rows/b.parquet")
    assert len(open_dataset(f"{s3.url}/rows", **options).files) == 2


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "c.npy", "a.h5"])
def test_an_object_that_changed_is_noticed(s3, name):
    source = open_dataset(put(s3, name), storage_options=s3.options).source()
    all_rows(source)
    put(s3, name, X + 1)
    with pytest.raises(DataError, match=f"{name} changed while it was read"):
        all_rows(source)
    s3.filesystem.rm(f"{s3.url}/{name}")
    with pytest.raises(DataError, match=f"{name} is gone"):
        all_rows(source)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["busy", "cut"])
@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz", "c.npy", "a.h5", "a.zarr"])
def test_failures_that_pass_do_no_harm(s3, proxied, impatient, name, kind):
    proxy, store = proxied
    url = put(s3, name)
    proxy.failure = failing(kind, 1)
    dataset = open_dataset(url, storage_options=store.options)
    source = dataset.source()
    proxy.failure = failing(kind, 2)
    options = {"random_state": 0, "max_iter": 2, "tol": 1e9}
    model = GaussianMixture(1, **options).fit(dataset)
    np.testing.assert_allclose(model.means_[0], X.mean(axis=0), rtol=1e-9, atol=1e-12)
    proxy.failure = failing(kind, 10**9)
    with pytest.raises(ClusterError, match=r"can't be reached.*run it again"):
        all_rows(source)
    with pytest.raises(ClusterError, match=r"can't be reached.*run it again"):
        open_dataset(url, storage_options=store.options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.parquet", "a.h5", "a.zarr"])
def test_a_store_that_is_down_can_not_be_reached(s3, proxied, impatient, name):
    proxy, store = proxied
    url = put(s3, name)
    source = open_dataset(url, storage_options=store.options).source()
    proxy.fall()
    with pytest.raises(ClusterError, match=f"{name} can't be reached.*run it again"):
        all_rows(source)
    with pytest.raises(ClusterError, match=f"{name} can't be reached.*run it again"):
        open_dataset(url, storage_options=store.options)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_refusal_is_said_without_credentials(s3, proxied, impatient, method):
    proxy, store = proxied
    url = put(s3, "a.parquet")
    proxy.failure = failing("denied", 10**9, method)
    with pytest.raises(
        MissingInputError, match=r"a\.parquet can't be read: .*credentials"
    ) as caught:
        open_dataset(url, storage_options=store.options)
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_missing_credentials_are_told(s3, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    put(s3, "a.parquet")
    options = {"endpoint_url": s3.endpoint, "skip_instance_cache": True}
    with pytest.raises(MissingInputError, match=r"NoCredentialsError.*credentials"):
        open_dataset(f"{s3.url}/a.parquet", storage_options=options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("versions", "words", "extra"),
    [
        (
            {"s3fs": "2026.4.0"},
            r"a\.zarr needs the package s3fs 2026\.6 or newer; 2026\.4\.0",
            "s3",
        ),
        (
            {"s3fs": "2026.10.0", "zarr": "2.18.7"},
            r"needs the package zarr 3\.1\.3 or newer; 2\.18\.7 is installed",
            "zarr",
        ),
    ],
)
def test_packages_that_are_too_old_are_named(s3, monkeypatch, versions, words, extra):
    url = put(s3, "a.zarr")
    monkeypatch.setattr("importlib.metadata.version", versions.get)
    with pytest.raises(ConfigurationError, match=rf"{words}.*pip install 'daskgmm\[{extra}\]'"):
        open_dataset(url, storage_options=s3.options)


def test_without_its_package_no_store_is_read(monkeypatch):
    monkeypatch.setattr("daskgmm.errors.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"s3fs, which is not installed.*daskgmm\[s3\]"):
        open_dataset("s3://rows/a.parquet")


def test_a_bucket_or_object_that_is_not_there_is_named(s3):
    with pytest.raises(MissingInputError, match=r"none\.parquet does not exist"):
        open_dataset(f"{s3.url}/none.parquet", storage_options=s3.options)
    with pytest.raises(MissingInputError, match="s3://no-such-bucket"):
        open_dataset("s3://no-such-bucket/a/", storage_options=s3.options)


@pytest.mark.slow
def test_workers_of_a_cluster_read_the_store_and_nobody_shows_the_key(s3, tmp_path):
    for number in range(4):
        put(s3, f"rows/{number}.parquet")
    url, run = f"{s3.url}/rows", tmp_path / "run"
    more = ("--workers", 1, "--no-progress", "--log-level", "debug", *s3.arguments)
    fitted = in_process("fit", url, "-k", 1, "-o", run, "--seed", 0, *more, timeout=200)
    assert fitted.code == 0, fitted.err
    scored = in_process("score", run, url, "--json", *more, timeout=200)
    assert json.loads(scored.out)["rows"] == 4 * len(X), scored.err
    s3.filesystem.rm(f"{s3.url}/rows/2.parquet")
    s3.filesystem.pipe(f"{s3.url}/rows/2.parquet", b"PAR1")
    failed = in_process("score", run, url, *s3.arguments, timeout=200)
    assert failed.code == 65
    said = [text for ended in (fitted, scored, failed) for text in (ended.out, ended.err)]
    kept = [file.read_bytes().decode(errors="replace") for file in run.iterdir()]
    assert not any(secret in text for secret in (KEY, SECRET) for text in [*said, *kept])


@pytest.mark.slow
def test_a_store_that_stays_away_ends_in_exit_75(s3, proxied, impatient, here, tmp_path):  # noqa: F811
    proxy, store = proxied
    url = put(s3, "a.parquet")
    fit = ("fit", url, "-k", 1, "-o", tmp_path / "run", "--no-progress", *store.arguments)
    proxy.failure = failing("busy", 10**9)
    for _ in range(2):
        ended = here(*fit)
        proxy.fall()
        assert ended.code == 75
        cause, remedy = ended.err.strip().splitlines()[-2:]
        assert cause.startswith(f"error: {url} can't be reached")
        assert "run it again" in remedy
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_chunks_in_a_store_that_changed_are_noticed(s3):
    source = open_dataset(put(s3, "a.zarr"), storage_options=s3.options).source()
    all_rows(source)
    (array,) = {part.array for part in source.parts}
    old = replace(array.file.record, modified="2000-01-01T00:00:00+00:00")
    array = replace(array, file=replace(array.file, record=old))
    with pytest.raises(DataError, match=r"a\.zarr changed while it was read"):
        list(replace(source.parts[0], array=array).read())
