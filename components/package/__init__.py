"""Step 10: what was trained and evaluated becomes signed packages, releases and registry entries."""
