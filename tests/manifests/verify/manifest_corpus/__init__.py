"""Manifests of the kinds that users report broken, each with the finding expected, and look-alikes that must pass.

Every case is the good set (`good/*.yaml`, one file an application) with a few edits.
"""
