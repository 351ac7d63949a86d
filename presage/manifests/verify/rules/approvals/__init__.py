"""Approvals and revocations: what Git says may be served."""
