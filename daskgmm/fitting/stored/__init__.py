"""Files of a fit: checkpoints, from which it resumes, and model files."""
