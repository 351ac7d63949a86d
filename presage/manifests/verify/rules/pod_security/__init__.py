"""Kubernetes' restricted profile, and what we ask beyond it."""
