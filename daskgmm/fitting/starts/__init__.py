"""Starts of a fit's candidates: planned, found on the sample, and reported."""
