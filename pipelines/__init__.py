"""Pipelines only wire components. `python -m pipelines NAME` runs one here, step by step in processes of their own."""
