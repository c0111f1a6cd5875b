"""What a fit writes and reads: checkpoints, by which it resumes, and model files."""
