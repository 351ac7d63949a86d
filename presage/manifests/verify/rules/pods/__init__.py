"""Pods as they will run."""
