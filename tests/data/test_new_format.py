"""A format that is one file and one line in the registry can be used like the others."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture, open_dataset
from daskgmm.data.files.versions import InputFile
from daskgmm.data.formats.array_table import StoredArrayTable
from daskgmm.data.formats.registry import FORMATS, Format
from daskgmm.data.formats.stored_array import only_numeric_matrix, require_numeric_matrix
from daskgmm.data.sinks import check_name
from daskgmm.errors import ConfigurationError, DataError, MissingInputError
from tests.support.command import here
from tests.support.plans import brief

__all__ = ["brief", "here"]


@dataclass(frozen=True)
class NpzArray:
    file: InputFile
    name: str
    shape: tuple[int, int]
    dtype: np.dtype
    chunk_rows: int = 1
    decoded: bool = True

    @contextmanager
    def opened(self, rows):
        with self.file.reading() as stream:
            yield np.load(stream)[self.name]


def open_npz(files):
    return StoredArrayTable(tuple(map(described, files)))


def described(file):
    with file.reading() as stream:
        held = {name: (array.shape, array.dtype) for name, array in np.load(stream).items()}
    name = file.inner or only_numeric_matrix(file.path, held)
    if name not in held:
        raise DataError(f"{file.name} has no array {name!r}.", f"It has {', '.join(held)}.")
    require_numeric_matrix(file.path, *held[name])
    return NpzArray(file, name, *held[name])


@pytest.fixture(autouse=True)
def npz(monkeypatch):
    monkeypatch.setitem(FORMATS, "npz", Format(open_npz, (".npz",), named=False, holds_arrays=True))


@pytest.fixture
def rows(tmp_path):
    X = np.random.default_rng(0).normal(size=(200, 2))
    np.savez(tmp_path / "part-0.npz", rows=X[:120])
    np.savez(tmp_path / "part-1.npz", rows=X[120:])
    return X


@pytest.mark.slow
def test_it_is_fitted_by_its_extension(tmp_path, rows):
    found = GaussianMixture(2, random_state=0).fit(open_dataset(tmp_path))
    expected = GaussianMixture(2, random_state=0).fit(rows)
    assert_array_equal(found.predict(rows), expected.predict(rows))


@pytest.mark.slow
def test_the_command_fits_it_and_forecasts_a_fit_of_it(tmp_path, rows, here, brief):
    assert here("plan", tmp_path / "part-0.npz", "-k", 2).code == 0
    fitted = here("fit", tmp_path / "part-0.npz", "-k", 2, "-o", tmp_path / "run", "--seed", 0)
    assert fitted.code == 0, fitted.err
    named = here("score", tmp_path / "run", tmp_path / "part-1.npz", "--format", "npz")
    assert named.code == 0, named.err


def test_no_output_is_named_like_it(tmp_path):
    with pytest.raises(ConfigurationError, match="would be a folder of Parquet files"):
        check_name("labels.npz")


def test_an_array_in_a_file_of_several_is_named_by_the_path(tmp_path, rows):
    np.savez(tmp_path / "several.npz", a=rows, b=rows[:, :1])
    assert open_dataset(tmp_path / "several.npz" / "b").n_features == 1
    with pytest.raises(ConfigurationError, match=r"several arrays: a, b"):
        open_dataset(tmp_path / "several.npz")


def test_errors_name_it_among_the_known_ones(tmp_path):
    (tmp_path / "a.xyz").touch()
    with pytest.raises(ConfigurationError, match=r"in any of .*\.npz.*one of .*npz"):
        open_dataset(tmp_path / "a.xyz")
    with pytest.raises(MissingInputError, match=r"\.npz"):
        open_dataset(tmp_path / "*.xyz")
    with pytest.raises(ConfigurationError, match=r"Known formats are .*npz"):
        open_dataset(tmp_path / "a.xyz", format="lotus")
    np.savez(tmp_path / "b.npz", np.eye(3))
    with pytest.raises(ConfigurationError, match="A delimiter was given, and the files are npz"):
        open_dataset(tmp_path / "b.npz", delimiter=";")


def test_a_file_that_changed_is_noticed(tmp_path, rows):
    dataset = open_dataset(tmp_path / "part-0.npz")
    np.savez(tmp_path / "part-0.npz", rows=rows)
    with pytest.raises(DataError, match=r"part-0\.npz changed while it was read"):
        dataset.require_unchanged()
