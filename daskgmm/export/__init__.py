"""A fitted mixture in other languages: as SQL for a warehouse, as ONNX for a runtime."""
