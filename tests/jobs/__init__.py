"""Tests of `daskgmm.jobs`."""
