"""What tests share: rows, commands, stores, clusters, certificates."""
