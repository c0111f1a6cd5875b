"""How new rows differ from those that a model has seen, and how it follows them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskgmm.training.incremental import Increment

_FEWEST_ROWS = 1e-3
"""Where the responsibilities for new rows sum to less, they have no mean to speak of."""


def drift_of(model: Any, increment: "Increment") -> dict[str, Any]:
    """Drift of new rows under the model before them.

    Parameters
    ----------
    model : GaussianMixture
        As it was before.
    increment : Increment
        What it came to with the new rows.

    Returns
    -------
    dict
        ``mean_log_likelihood`` of the new rows, ``lower_bound_before`` (the model's on the rows
        of its last pass) and their ``difference``, in nats a row; and for each of the
        ``components`` its weight before, among the new rows and after, how far the mean of its
        new rows and its new mean are from the old one, in its old deviations (Mahalanobis), and
        its ``divergence`` from before to after (both Kullback-Leibler divergences, in nats).
    """
    found = increment.fresh.lower_bound
    return {
        "mean_log_likelihood": found,
        "lower_bound_before": model.lower_bound_,
        "difference": found - model.lower_bound_,
        "components": _components(model, increment),
    }


def _components(model: Any, increment: "Increment") -> list[dict[str, Any]]:
    from daskgmm.model.divergence import divergences, shifts

    before, fresh = model._predictor.mixture, increment.fresh  # noqa: SLF001  in its own frame
    counts = fresh.sums[-1]
    columns = {
        "weight_before": before.weights.tolist(),
        "weight_of_new_rows": (counts / counts.sum()).tolist(),
        "weight_after": increment.mixture.weights.tolist(),
        "shift_of_new_rows": [
            shift if count >= _FEWEST_ROWS else None
            for shift, count in zip(shifts(before, fresh.means).tolist(), counts, strict=True)
        ],
        "shift": shifts(before, increment.mixture.means).tolist(),
        "divergence": divergences(before, increment.mixture).tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
