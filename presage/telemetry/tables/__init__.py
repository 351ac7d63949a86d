"""Telemetry from a table in a file: wide (a column a metric) or long (a row a value).

    layout     which column is what: told by a mapping file, else guessed where only one reading is possible
    timestamps instants from what people write
    values     numbers from what people write
    labels     incidents and labelled intervals from a label column
    source     the source itself: file → Telemetry, what cannot be used → quarantine
"""
