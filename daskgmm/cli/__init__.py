"""The command line: options to calls, exit codes, words on the screen.

Modules here import click, the standard library and what is as light of ours, so that ``--help``
answers at once; what a command needs is imported in its body.
"""

from daskgmm.cli.main import main

__all__ = ["main"]
