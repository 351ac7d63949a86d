"""How far the held-out data has moved from the training data: a page a person reads, and its numbers."""
