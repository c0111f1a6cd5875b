"""The cluster of a job: one that runs already, or one of its own on this machine."""
