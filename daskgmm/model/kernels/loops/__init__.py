"""Loops compiled by numba: the arithmetic of a pass over rows that are worth loading a compiler.

`features` computes by two products over feature vectors, `whole` every pair of a row and a
component, `screened` only the pairs that count; `arithmetic` is what they share.

They hold no interpreter lock: threads of one process run them side by side. Multiplications and
additions may be contracted into one rounding, and sums along rows may run in the lanes of a
vector: the bits depend on the processor's instructions only, as those of BLAS do.
"""
