"""Output of the command line: logs, progress, tables."""
