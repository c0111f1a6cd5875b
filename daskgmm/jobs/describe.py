"""What there is to say of a model, as plain values."""

from typing import Any

from daskgmm.jobs.models import Model


def describe(model: Model) -> dict[str, Any]:
    """Parameters of a model, how its fit went, and the record of its run if there is one.

    Returns
    -------
    dict
        Of plain JSON values.
    """
    fitted = model.estimator
    names = getattr(fitted, "feature_names_in_", None)
    return {
        "model": model.name,
        "estimator": type(fitted).__name__,
        "components": len(fitted.weights_),
        "features": fitted.n_features_in_,
        "columns": None if names is None else [str(name) for name in names],
        "covariance_type": fitted.covariance_type,
        "weights": fitted.weights_.tolist(),
        "means": fitted.means_.tolist(),
        "covariances": fitted.covariances_.tolist(),
        "fit": _course(fitted),
        "run": None if model.run is None else dict(model.run.record),
    }


def _course(fitted: Any) -> dict[str, Any]:
    """What is known of the fit: less where the model comes from elsewhere."""
    facts = ("converged", "n_iter", "n_passes", "lower_bound", "n_rows")
    return {name: getattr(fitted, f"{name}_", None) for name in facts}
