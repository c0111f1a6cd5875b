"""Rows in memory: arrays, frames, Dask collections."""
