"""Step 5: parts in the order of time, with room between them, and a check that fails the run where something leaks."""
