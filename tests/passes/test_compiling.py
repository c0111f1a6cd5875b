"""Which passes over rows are worth the compiled densities, and that all parts heed it alike."""

from dataclasses import replace

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture, open_dataset
from daskgmm.data.sinks import Layout, sink_for
from daskgmm.data.storage.folder import Folder
from daskgmm.model.frame import Frame
from daskgmm.model.prediction import Predictor, density_kernel
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


def test_few_rows_are_left_to_numpy(source, predictor):
    assert not prediction.readied_for(predictor, source).compiled


def test_many_rows_are_worth_it(source, predictor):
    many = replace(source, lengths=(10**8,) * 3)
    assert prediction.readied_for(predictor, many).compiled


def test_rows_of_unknown_number_are_taken_for_a_million(source, predictor):
    unknown = replace(source, lengths=None)
    assert not prediction.readied_for(predictor, unknown).compiled
    large = Predictor(reference.random_mixture("full", 30, 40), Frame.identity(40))
    assert prediction.readied(large, None, np.dtype(np.float64), now=False).compiled
    assert not prediction.readied(large, 1000, np.dtype(np.float64)).compiled


@pytest.mark.parametrize("kind", ["memory", "array", "frame", "dataset"])
def test_all_methods_take_the_compiled_loop_where_it_is_worth_it(
    kind, source, tmp_path, monkeypatch
):
    rows = pd.read_parquet(tmp_path / "rows.parquet").to_numpy()
    given = {
        "memory": rows,
        "array": da.from_array(rows, chunks=(1000, 3)),
        "frame": dd.from_pandas(pd.DataFrame(rows, columns=list("abc")), npartitions=3),
        "dataset": open_dataset(tmp_path / "rows.parquet"),
    }[kind]
    model = GaussianMixture(3, random_state=0, max_iter=2, refine="none")
    with pytest.warns(ConvergenceWarning):
        model.fit(given)
    methods = ("predict", "predict_proba", "score_samples", "score", "bic")
    found, asked = {}, set()

    def noted(mixture, dtype, *, compiled):
        asked.add(compiled)
        return density_kernel(mixture, dtype, compiled=compiled)

    for module in ("prediction", "scoring"):
        monkeypatch.setattr(f"daskgmm.model.{module}.density_kernel", noted)
    for threshold in (1.0, 0.0):
        monkeypatch.setattr("daskgmm.passes.cost.PASS_WORTH_COMPILING", threshold)
        for method in methods:
            asked.clear()
            found[method, threshold] = np.asarray(getattr(model, method)(given))
            assert (True in asked) == (threshold == 0), method
        asked.clear()
        found["threshold", threshold] = model.anomaly_threshold(given, 0.01)
        assert (True in asked) == (threshold == 0)
    for method in (*methods, "threshold"):
        assert_allclose(found[method, 0.0], found[method, 1.0], rtol=1e-9, atol=1e-12)


def test_files_written_by_the_compiled_loop_say_the_same(source, predictor, tmp_path, monkeypatch):
    written = {}
    for name, threshold in (("numpy", 1.0), ("compiled", 0.0)):
        monkeypatch.setattr("daskgmm.passes.cost.PASS_WORTH_COMPILING", threshold)
        ready = prediction.readied_for(predictor, source)
        output = Output(ready, probabilities=True, log_density=True)
        layout = Layout(output.fields, len(source.parts))
        folder = Folder.of(tmp_path / name, {})
        sink = sink_for(folder)(folder, layout)
        made = write_rows(source, output, sink)
        assert sum(part.rows for _, part in made.parts.values()) == 6000
        written[name] = pq.read_table(tmp_path / name).to_pandas()
    assert_allclose(written["compiled"], written["numpy"], rtol=1e-9, atol=1e-12)
