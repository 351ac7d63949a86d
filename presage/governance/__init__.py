"""Policies: what compliance reviews, read into typed objects and compiled into what enforces them."""
