"""Tests of `daskgmm.monitoring`."""
