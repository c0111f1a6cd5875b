"""Tests of `daskgmm.model`."""
