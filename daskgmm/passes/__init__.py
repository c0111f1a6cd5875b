"""Passes over rows: the only place that builds Dask graphs.

A pass maps groups of parts to partial results and adds those up in a tree of fixed shape, so
the result is the same to the bit whoever computes it and in whatever order.
"""
