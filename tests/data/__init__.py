"""Tests of `daskgmm.data`."""
