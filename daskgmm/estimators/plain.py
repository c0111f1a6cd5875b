"""Constructor parameters as JSON."""

from typing import Any

import numpy as np


def plain_parameters(estimator: Any) -> dict[str, Any]:
    """Those that a model is made of; what can't be written down is left at its default."""
    found = estimator.get_params(deep=False)
    del found["callbacks"], found["checkpoint"]
    if isinstance(found["random_state"], np.random.RandomState):
        del found["random_state"]
    if found["dtype"] is not None:
        found["dtype"] = str(np.dtype(found["dtype"]))
    for name in ("weights_init", "means_init", "precisions_init"):
        if found[name] is not None:
            found[name] = np.asarray(found[name]).tolist()
    return {name: getattr(value, "item", lambda v=value: v)() for name, value in found.items()}
