"""Vault's resources."""
