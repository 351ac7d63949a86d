"""Telemetry: one event schema, and the sources that yield it."""
