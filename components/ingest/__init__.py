"""Step 1: read a source into the one telemetry schema; what cannot be read goes to the quarantine with its reason."""
