"""Step 3: telemetry becomes feature rows at ticks, by the one declaration."""
