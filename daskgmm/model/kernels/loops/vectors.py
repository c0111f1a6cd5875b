"""A compiler of loops that take whole vectors of 512 bits, where the processor has them.

For several processors by Intel LLVM prefers half of that, as some of them ran slower while wide
vectors were at work. There exponentials of whole vectors take three fifths of the time.
"""

from typing import Any, final

from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import BaseNativeLowering, NativeLowering

_WIDTH = '"prefer-vector-width"="512"'


@final
class _Lower(Lower):
    """Writes functions for LLVM, each with its preference."""

    def setup_function(self, fndesc: Any) -> None:
        super().setup_function(fndesc)
        # Their own `add` knows attributes without values only.
        set.add(self.function.attributes, _WIDTH)


@final
@register_pass(mutates_CFG=True, analysis_only=False)
class _WideLowering(BaseNativeLowering):
    _name = "wide_native_lowering"

    @property
    def lowering_class(self) -> type[Lower]:
        return _Lower


@final
class WideCompiler(CompilerBase):
    """numba's own compiler but for the width of vectors."""

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [
            (_WideLowering if own is NativeLowering else own, name) for own, name in passes.passes
        ]
        passes.finalize()
        return [passes]
