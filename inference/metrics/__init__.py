"""What a serving program says about itself, in Prometheus' words."""
