"""What a fitted mixture answers without rows: pure functions of mixtures."""
