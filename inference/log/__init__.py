"""The prediction log: every decision with its inputs, kept as Parquet files that are only ever added.

    classes, masking, free_text   what may enter it, and in which form (policies/data-classes.yaml)
    subjects                      a key for each subject; who is forgotten loses it
    table, folder                 how records become rows, and where the files lie
    reading                       rows become records again
    replay                        history decided again, under another release
    parquet_copy, iceberg         the warehouse's copies
    aggregate, ledger             counts that leave, and what they cost
    show, query                   one decision; SQL over all
    items                         which files there are, and whose: what retention goes by
    __main__                      all of that as programs: `python -m inference.log …`

The shipper (inference.journal.ship) fills it. Parquet is written and read by polars; presidio, opendp and pyiceberg load only where used.
"""
