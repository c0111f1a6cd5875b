"""Tests of `daskgmm.training`."""
