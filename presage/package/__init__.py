"""Packages (one model each), releases (what a Pod loads) and the gate that lets them in."""
