"""Benchmarks: ``python -m tests.benchmarks`` prints one table, ours beside its peers."""
