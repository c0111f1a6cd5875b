"""Tests of `daskgmm.estimators`."""
