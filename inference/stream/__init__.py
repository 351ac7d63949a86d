"""Live telemetry into online feature rows: source → event log → the feature engine at each tick → online store."""
