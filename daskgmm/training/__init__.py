"""The EM loop: starts, steps, stopping. Knows mixtures and moments, not where the rows are."""
