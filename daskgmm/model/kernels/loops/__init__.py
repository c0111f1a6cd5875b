"""Loops compiled by numba: the arithmetic of a pass over rows that are worth loading a compiler.

`moments` and `densities` are the two loops over tiles of rows. A tile goes by two products over
feature vectors (`features`), or by pairs of a row and a component. Where bounds on logits pay,
`bounds` and `screened` find those that may count, and `pairs` sums over them (`row_sums`). Else all
logits are computed (`all_pairs`); `listed` sums over those that count, if few do, and `all_sums`
over all; of few features, which registers hold together, `few_features` does so. Of
hundreds of components `neighbours` lists those that a tile's rows can be shared out to.
`arithmetic`, `distances` and `registers` are what several share.

They hold no interpreter lock: threads of one process run them side by side. Multiplications and
additions may be contracted into one rounding, and sums along rows may run in the lanes of a
vector: the bits depend on the processor's instructions only, as those of BLAS do.

They make no arrays: numba would count who holds one at every slice. So their functions return
numbers only, write to arrays that they are given, assign none to a slice of another, and multiply
by `blas.multiply`.
"""
