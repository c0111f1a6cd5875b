"""Variational mixtures: priors of all parameters, and posteriors in place of point estimates."""
