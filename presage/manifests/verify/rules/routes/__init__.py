"""Routes and their shares."""
