"""The command line: options become calls of jobs, and errors become exit codes.

Modules here import click, the standard library and our own light modules at most, so that
``--help`` answers at once; a command imports what else it needs in its body.
"""

from daskgmm.cli.main import main

__all__ = ["main"]
