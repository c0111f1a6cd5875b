"""Decoded blocks between passes: in the workers' memory or on their disks."""
