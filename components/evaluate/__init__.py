"""Step 8: what the models are worth on time that none of them saw, with intervals, against two baselines."""
