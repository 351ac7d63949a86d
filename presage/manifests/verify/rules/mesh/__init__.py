"""The mesh: who may speak to whom, and how."""
