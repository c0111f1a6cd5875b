"""Input files before they are read: their listing, order and versions."""
