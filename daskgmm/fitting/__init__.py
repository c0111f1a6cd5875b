"""One fit from rows to states: settings, starts, checkpoint, model file. No scikit-learn."""
