"""What must not be in Git."""
