"""Step 6: how unusual a tick is, learnt without labels."""
