"""Every answer's record, kept before the answer leaves (level `process`), and its way into the prediction log.

    writer.Journal       appends records to segment files, one write an answer
    segments             how a segment looks, and how it is read again
    ship                 a program of its own that moves records to Parquet files, idempotently
    shipper              the server's hold on that program
"""
