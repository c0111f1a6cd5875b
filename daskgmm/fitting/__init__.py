"""Fits from rows to states: settings, starts, checkpoints, model files; without scikit-learn."""
