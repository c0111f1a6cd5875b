"""Files before they are read: how they are listed, in which order, in which version."""
