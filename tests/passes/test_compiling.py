"""Which passes over rows are worth the compiled densities, and that all parts heed it alike."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

from daskgmm import open_dataset
from daskgmm.data.sinks import Layout, sink_for
from daskgmm.data.storage.folder import Folder
from daskgmm.model.frame import Frame
from daskgmm.model.prediction import Predictor
from daskgmm.passes import prediction
from daskgmm.passes.writing import Output, write_rows
from tests.support import reference


@pytest.fixture
def source(tmp_path):
    rows = np.random.default_rng(0).normal(size=(6000, 3))
    table = pa.table(list(rows.T), names=["a", "b", "c"])
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=2500)
    return open_dataset(tmp_path / "rows.parquet").source()


@pytest.fixture
def predictor():
    return Predictor(reference.random_mixture("full", 4, 3), Frame.identity(3))


def test_few_rows_and_rows_of_unknown_number_are_left_to_numpy(source, predictor):
    assert not prediction.readied(predictor, source).compiled
    assert not prediction.readied(predictor, replace(source, lengths=None)).compiled


def test_many_rows_are_worth_it(source, predictor):
    many = replace(source, lengths=(10**8,) * 3)
    assert prediction.readied(predictor, many).compiled


def test_files_written_by_the_compiled_loop_say_the_same(source, predictor, tmp_path, monkeypatch):
    written = {}
    for name, threshold in (("numpy", 1.0), ("compiled", 0.0)):
        monkeypatch.setattr("daskgmm.passes.cost.PASS_WORTH_COMPILING", threshold)
        ready = prediction.readied(predictor, source)
        output = Output(ready, probabilities=True, log_density=True)
        layout = Layout(output.fields, len(source.parts))
        folder = Folder.of(tmp_path / name, {})
        sink = sink_for(folder)(folder, layout)
        made = write_rows(source, output, sink)
        assert sum(part.rows for _, part in made.parts.values()) == 6000
        written[name] = pq.read_table(tmp_path / name).to_pandas()
    assert_allclose(written["compiled"], written["numpy"], rtol=1e-9, atol=1e-12)
