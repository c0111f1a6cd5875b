"""Tests of `daskgmm.passes`."""
