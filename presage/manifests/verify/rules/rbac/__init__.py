"""Roles and their bindings."""
