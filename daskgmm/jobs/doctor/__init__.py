"""What may hurt on a machine or a cluster: a check is a function, and a line in the report.

A check looks and reports; it changes nothing. Those of a process run in each worker.
"""
