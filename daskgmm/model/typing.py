"""Type names of arrays."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
"""float32 or float64."""

Doubles: TypeAlias = NDArray[np.float64]
"""Always float64: parameters and sums."""
