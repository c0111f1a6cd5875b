"""Graphs of passes and their execution: groups of parts, keys, the tree of sums, progress."""
