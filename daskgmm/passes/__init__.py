"""Passes over rows: the only place that builds Dask graphs.

A pass maps groups of parts to partial results and adds those up in a tree of fixed shape, so
the result is the same to the bit on any number of workers and in any order of tasks.
"""
