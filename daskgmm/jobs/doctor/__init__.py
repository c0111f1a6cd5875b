"""Checks for problems of a machine or a cluster, each a function and a line in the report.

A check reads and reports; it changes nothing. Checks of a process run in each worker.
"""
