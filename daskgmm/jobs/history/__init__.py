"""Folders of runs: what they hold, how their runs differ, and which of them go."""
