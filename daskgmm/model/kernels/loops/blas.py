"""Products of matrices by BLAS, for loops that hold no references."""

from typing import Any

from numba.core import types
from numba.core.typing import signature
from numba.extending import intrinsic
from numba.np.linalg import dot_3_mm, ensure_blas


@intrinsic
def multiply(_typing: Any, a: Any, b: Any, out: Any) -> Any:
    """Write the product of two matrices to a third one, as np.dot does, and return nothing.

    What np.dot returns would have to be counted.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        ensure_blas()
        dot_3_mm(context, builder, signature(out, a, b, out), arguments)
        return context.get_dummy_value()

    return types.void(a, b, out), generate
