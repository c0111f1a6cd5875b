"""The search for the best start on sampled rows: several starts, then split-and-merge moves.

`search` is the whole course: `halving` of the starts and `rounds` of moves, on what `sampled`
computes. `ends` says which run is best, `moves` ranks moves, and `spurious` says which components
no mixture should win by.
"""
