"""Sources and sinks of rows: arrays and frames in memory, Dask collections, files.

Every source says how many parts it has and how one part is read as blocks, features first.
"""
