"""What a fit will take before it begins: passes, seconds, memory."""
