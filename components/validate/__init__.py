"""Step 2: anomalous sensor data never reaches training; each refused cell is listed with the rule and the reason."""
