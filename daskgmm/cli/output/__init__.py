"""What the command line writes: logs, progress, tables."""
