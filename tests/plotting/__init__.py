"""Tests of `daskgmm.plotting`."""
