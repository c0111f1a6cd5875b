"""Run directories: their record, and what a command does with one that is there already."""
