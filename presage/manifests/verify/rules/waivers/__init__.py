"""Waivers, which are findings too when they no longer hold."""
