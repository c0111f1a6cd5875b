"""The mathematics: pure functions on arrays. Knows no Dask, no files, no clock.

Notation everywhere: n rows, K components, D features, F the length of a feature vector.
Arrays of rows are features first, (D, n). Densities are in nats.
"""
