"""Graphs and their execution: groups of parts, keys, one tree of sums, progress."""
