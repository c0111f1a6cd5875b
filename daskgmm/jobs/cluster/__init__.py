"""Clusters that jobs run on: a running one, or an embedded one on this machine."""
