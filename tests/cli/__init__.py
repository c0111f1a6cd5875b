"""Tests of `daskgmm.cli`."""
