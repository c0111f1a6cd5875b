"""Plans of fits: the passes, seconds and memory that a fit will take."""
