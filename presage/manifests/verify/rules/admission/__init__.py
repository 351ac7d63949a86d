"""Admission policies: that they judge what they should, and say why."""
