"""Outputs of many parts: begun, gone on with, complete, and never half of it taken for whole."""

from daskgmm.jobs.outputs.lifecycle import Desk, Order, Outcome, carry_out, earlier_seed
from daskgmm.jobs.outputs.manifest import Manifest

__all__ = ["Desk", "Manifest", "Order", "Outcome", "carry_out", "earlier_seed"]
