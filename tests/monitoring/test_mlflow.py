import numpy as np
import pytest

mlflow = pytest.importorskip("mlflow")

from daskgmm import GaussianMixture, GaussianMixtureSelector  # noqa: E402
from daskgmm.errors import ConfigurationError, DataError  # noqa: E402
from daskgmm.monitoring import MLflowLogger  # noqa: E402
from tests.support.rows import two_groups  # noqa: E402

# It warns of its own modules while it imports them.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")


@pytest.fixture(autouse=True)
def tracking(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(before)


def rows():
    return two_groups(n_features=2)


def only_run():
    [run] = mlflow.search_runs(output_format="list")
    return run


@pytest.mark.slow
def test_parameters_a_metric_for_each_pass_and_the_model_are_logged(tracking):
    model = GaussianMixture(2, tol=1e-7, random_state=0, callbacks=[MLflowLogger("night")])
    model.fit(rows())
    run = only_run()
    assert (run.info.status, run.info.run_name) == ("FINISHED", "night")
    assert run.data.params["n_components"] == "2"
    assert run.data.params["tol"] == "1e-07"
    assert run.data.tags["daskgmm.stopped"] == "converged"
    # The values of one millisecond come in no order: MLflow sorts by time and leaves the rest.
    logged = tracking.get_metric_history(run.info.run_id, "lower_bound")
    logged = sorted(logged, key=lambda one: one.step)
    assert [one.value for one in logged] == model.lower_bounds_
    assert [one.step for one in logged] == list(range(1, model.n_iter_ + 1))
    found = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    np.testing.assert_array_equal(found.predict(rows()), model.predict(rows()))
    np.testing.assert_array_equal(found.get_raw_model().means_, model.means_)


@pytest.mark.slow
def test_a_run_that_is_active_is_used_and_stays_active():
    with mlflow.start_run() as run:
        GaussianMixture(2, random_state=0, callbacks=[MLflowLogger(log_model=False)]).fit(rows())
        assert mlflow.active_run().info.run_id == run.info.run_id
    assert only_run().data.metrics["lower_bound"] < 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:K = :sklearn.exceptions.ConvergenceWarning")
def test_a_selection_logs_its_candidates_and_the_model_it_chose():
    selector = GaussianMixtureSelector((1, 2, 3), random_state=0, callbacks=[MLflowLogger()])
    selector.fit(rows())
    run = only_run()
    assert run.data.params["n_components"] == "1,2,3"
    found = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    assert found.get_raw_model().n_components == selector.best_params_["n_components"]


def test_a_fit_that_fails_leaves_a_failed_run():
    with pytest.raises(DataError):
        GaussianMixture(2, callbacks=[MLflowLogger()]).fit(np.full((50, 2), np.nan))
    assert only_run().info.status == "FAILED"
    assert mlflow.active_run() is None


def test_a_tracking_server_that_is_not_there_is_warned_of_and_does_not_fail_a_fit(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    mlflow.set_tracking_uri((tmp_path / "file").as_uri())
    model = GaussianMixture(2, random_state=0, callbacks=[MLflowLogger()]).fit(rows())
    assert model.converged_
    assert "MLflowLogger failed" in caplog.text


def test_a_run_of_its_own_ends_with_the_fit_also_where_a_pass_could_not_be_logged(
    monkeypatch, caplog
):
    def refuse(*_args, **_options):
        raise OSError("no metrics here")

    monkeypatch.setattr(mlflow, "log_metrics", refuse)
    GaussianMixture(2, random_state=0, callbacks=[MLflowLogger(log_model=False)]).fit(rows())
    assert "no metrics here" in caplog.text
    assert mlflow.active_run() is None
    assert only_run().info.status == "FINISHED"


def test_without_mlflow_the_remedy_is_told(monkeypatch):
    monkeypatch.setattr("daskgmm.errors.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="daskgmm\\[mlflow\\]"):
        MLflowLogger()
