"""Watching fits: observers of their states, and what an operator sees of them."""
