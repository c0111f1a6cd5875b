"""A run from its inputs to its results: plain values in, plain values out, our errors only.

Nothing here prints, reads a command line or ends the process.
"""
