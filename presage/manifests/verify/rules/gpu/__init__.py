"""GPUs, whole and shared."""
