"""The exponential of loops, in vectors of any width, as no library has it that numba can call."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from daskgmm.model.kernels.loops.compiling import OPTIONS
from daskgmm.model.kernels.loops.registers.lanes import Lanes

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238  # the digits of ln 2 that k * _LN2_HIGH holds exactly
_LN2_LOW = 1.9082149292705877e-10
_SHIFT = 6755399441055744.0 + 1023
# 1.5 * 2**52: adding it rounds to an integer in the low bits, here that of a power's exponent

_LOG2_E_SINGLE = np.float32(1.442695)
_LN2_HIGH_SINGLE = np.float32(0.693359375)
_LN2_LOW_SINGLE = np.float32(-2.1219444e-4)
_SHIFT_SINGLE = np.float32(12582912.0 + 127)  # 1.5 * 2**23, likewise

_TERMS = (
    0.5, 0.166666666666666675, 0.0416666666666241279, 0.00833333333333006183,
    0.00138888889172137169, 1.98412698630536169e-4, 2.48015212959543751e-5,
    2.75572684599970648e-6, 2.76200884454097482e-7, 2.51003854955103191e-8,
)  # fmt: skip
_TERMS_SINGLE = tuple(np.float32(term) for term in (
    0.5, 0.166665769896987757, 0.0416665546172045742, 0.00836317905272257737,
    0.00139261835877134945,
))  # fmt: skip
"""Coefficients of the polynomial through (exp(r) - 1 - r) / r**2 at Chebyshev's nodes between
-ln(2) / 2 and ln(2) / 2: off by 2e-17 of exp(r), and by 1e-8; Taylor's would take two terms more,
and one."""


def exp(x: Any) -> Any:
    """Exponential of x <= 0, a number or lanes, within an ulp (Cody and Waite, 1980).

    From -700 in float64 and -87 in float32, where vectors hold twice as many; NaN of NaN.
    """
    raise NotImplementedError  # for numba alone, which takes one of the two below


@overload(exp, jit_options=OPTIONS, inline="always")
def _exp_of(x: Any) -> Callable[[Any], Any]:
    number = x.number if isinstance(x, Lanes) else x
    return _exp_single if number == types.float32 else _exp_double


@intrinsic
def _power(typing: Any, shifted: Any) -> Any:
    """The power of two whose exponent is in the lowest bits of a number, or of each lane."""
    del typing
    number = shifted.number if isinstance(shifted, Lanes) else shifted
    digits = 23 if number == types.float32 else 52

    def write(context: Any, builder: Any, signature: Any, given: Any) -> Any:  # noqa: ARG001
        bits = ir.IntType(number.bitwidth)
        distance = ir.Constant(bits, digits)
        if isinstance(shifted, Lanes):
            bits = ir.VectorType(bits, shifted.count)
            distance = ir.Constant(bits, [digits] * shifted.count)
        moved = builder.shl(builder.bitcast(given[0], bits), distance)
        return builder.bitcast(moved, given[0].type)

    return shifted(shifted), write


def _exp_double(x: Any) -> Any:
    shifted = x * _LOG2_E + _SHIFT
    k = shifted - _SHIFT
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    # Even and odd powers apart: each of two short chains waits for itself alone.
    square, p, q = r * r, _TERMS[8], _TERMS[9]
    p = p * square + _TERMS[6]
    q = q * square + _TERMS[7]
    p = p * square + _TERMS[4]
    q = q * square + _TERMS[5]
    p = p * square + _TERMS[2]
    q = q * square + _TERMS[3]
    p = p * square + _TERMS[0]
    q = q * square + _TERMS[1]
    p = q * r + p
    p = p * r + 1
    p = p * r + 1
    return p * _power(shifted)


def _exp_single(x: Any) -> Any:
    shifted = x * _LOG2_E_SINGLE + _SHIFT_SINGLE
    k = shifted - _SHIFT_SINGLE
    r = (x - k * _LN2_HIGH_SINGLE) - k * _LN2_LOW_SINGLE
    square, p, q = r * r, _TERMS_SINGLE[4], _TERMS_SINGLE[3]
    p = p * square + _TERMS_SINGLE[2]
    q = q * square + _TERMS_SINGLE[1]
    p = p * square + _TERMS_SINGLE[0]
    p = q * r + p
    p = p * r + np.float32(1)
    p = p * r + np.float32(1)
    return p * _power(shifted)
