"""Outputs of many parts, which readers see complete or not at all."""

from daskgmm.jobs.outputs.lifecycle import (
    CompleteOutput,
    OutputRequest,
    earlier_seed,
    make_output,
)
from daskgmm.jobs.outputs.manifest import Manifest
from daskgmm.jobs.outputs.writer import OutputWriter

__all__ = [
    "CompleteOutput",
    "Manifest",
    "OutputRequest",
    "OutputWriter",
    "earlier_seed",
    "make_output",
]
