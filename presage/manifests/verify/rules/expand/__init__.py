"""What custom resources are expanded to."""
