"""Batch scoring: rows become predictions by the very path that answers online."""
