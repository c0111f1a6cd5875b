"""The scikit-learn-shaped faces."""
