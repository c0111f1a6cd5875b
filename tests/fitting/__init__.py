"""Tests of `daskgmm.fitting`."""
