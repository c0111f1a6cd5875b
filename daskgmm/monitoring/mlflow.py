"""Logs fits as runs of MLflow."""

import math
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from daskgmm.errors import require_package
from daskgmm.monitoring.messages import limits
from daskgmm.monitoring.observer import FitEnd, FitPass, FitStart, FittedEstimator, Reason

MODEL = "model"
"""Name of the model among a run's models."""

_FILE = "model.safetensors"
_STATUS = {Reason.FAILED: "FAILED", Reason.INTERRUPTED: "KILLED"}


class MLflowLogger:
    """Logs a fit's parameters, a metric for each pass, and the model: one of `callbacks`.

    They go to MLflow's active run, or to a new one that ends with the fit.
    ``mlflow.set_tracking_uri`` and ``set_experiment`` set where that is. A failure of MLflow is
    logged as a warning, and the fit goes on.

    The model is a pyfunc model that holds a safetensors file: ``mlflow.pyfunc.load_model(...)``
    gives one whose ``predict`` labels rows and whose ``get_raw_model()`` is the
    `GaussianMixture`.

    Parameters
    ----------
    run_name : str, optional
        Name of a new run.
    log_model : bool, default True
        Whether to log the model.

    Raises
    ------
    ConfigurationError
        MLflow is not installed.

    Examples
    --------
    >>> from daskgmm.monitoring import MLflowLogger  # doctest: +SKIP
    >>> GaussianMixture(3, callbacks=[MLflowLogger()]).fit(rows)  # doctest: +SKIP
    """

    def __init__(self, run_name: str | None = None, *, log_model: bool = True) -> None:
        require_package("mlflow", "mlflow", "MLflowLogger needs MLflow")
        self.run_name = run_name
        self.log_model = log_model

    def start(self, about: FitStart) -> None:
        """Begin a run, or take the active one, and log the parameters.

        Parameters
        ----------
        about : FitStart
            What is known of the fit before its first pass.
        """
        import mlflow

        self._own = mlflow.active_run() is None
        if self._own:
            mlflow.start_run(run_name=self.run_name)
        mlflow.log_params(_parameters(about))
        mlflow.set_tag("daskgmm.run_id", about.run_id)

    def tell(self, made: FitPass) -> None:
        """Log the figures of a pass.

        Parameters
        ----------
        made : FitPass
            The pass, and the state of the fit after it.
        """
        import mlflow

        state, best = made.state, made.state.best
        figures = {
            "lower_bound": best.lower_bound,
            "change": best.change,
            "pass_seconds": state.seconds,
            "rows_per_second": state.rows / max(state.seconds, 1e-9),
        }
        known = {name: value for name, value in figures.items() if math.isfinite(value)}
        mlflow.log_metrics(known, step=state.iteration, synchronous=False)  # no pass waits

    def end(self, ending: FitEnd) -> None:
        """Log how the fit ended, and the model.

        Parameters
        ----------
        ending : FitEnd
            Why it ended, its seconds, and the fitted estimator if there is one.
        """
        import mlflow

        try:
            mlflow.flush_async_logging()
            mlflow.set_tag("daskgmm.stopped", ending.reason.value)
            mlflow.log_metric("fit_seconds", ending.seconds)
            if ending.estimator is not None and self.log_model:
                _log_model(ending.estimator)
        finally:
            if self._own:
                mlflow.end_run(_STATUS.get(ending.reason, "FINISHED"))


def _parameters(about: FitStart) -> dict[str, Any]:
    numbers, kinds = zip(*about.kinds, strict=True)
    return {
        "estimator": about.estimator,
        "n_components": _joined(numbers),
        "covariance_type": _joined(kinds),
        **limits(about),
        **{name: about.parameters.get(name) for name in ("init_params", "random_state")},
        "rows": about.rows,
        "n_features": about.n_features,
    }


def _joined(values: tuple[Any, ...]) -> Any:
    """The value, or different values with commas between them."""
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else ",".join(map(str, different))


def _log_model(estimator: FittedEstimator) -> None:
    import mlflow

    with tempfile.TemporaryDirectory(prefix="daskgmm-mlflow-") as folder:
        path = Path(folder) / _FILE
        estimator.save(path)
        mlflow.pyfunc.log_model(
            name=MODEL,
            loader_module="daskgmm.estimators.mlflow_model",
            data_path=str(path),
            pip_requirements=[f"daskgmm=={version('daskgmm')}"],
        )
