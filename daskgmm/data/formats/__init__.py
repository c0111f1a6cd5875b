"""File formats that rows are read from: a file each and a line in the registry."""
