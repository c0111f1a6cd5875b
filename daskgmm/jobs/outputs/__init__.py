"""Outputs of many parts: begun, gone on with, complete, and never half of it taken for whole."""

from daskgmm.jobs.outputs.lifecycle import (
    CompleteOutput,
    OutputRequest,
    OutputWriter,
    earlier_seed,
    make_output,
)
from daskgmm.jobs.outputs.manifest import Manifest

__all__ = [
    "CompleteOutput",
    "Manifest",
    "OutputRequest",
    "OutputWriter",
    "earlier_seed",
    "make_output",
]
