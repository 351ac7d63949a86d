"""Schemas of every kind."""
