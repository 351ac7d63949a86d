"""Names that must be there."""
