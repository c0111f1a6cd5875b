"""Options of the command line: their types, where their values come from, which are secret."""
