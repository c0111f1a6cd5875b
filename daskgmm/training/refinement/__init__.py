"""The search for the best start on sampled rows: several starts, then split-and-merge moves.

`search` is the whole course, on what `sampled` computes; `moves` ranks moves, and `spurious` says
which components no mixture should win by.
"""
