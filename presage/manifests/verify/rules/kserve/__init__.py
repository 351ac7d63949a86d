"""Traps of KServe's controller."""
