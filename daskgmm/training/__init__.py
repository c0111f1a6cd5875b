"""The EM loop: starts, steps, stopping. It knows mixtures and moments, not where the rows are."""
