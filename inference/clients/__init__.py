"""Who calls, and how often each may.

    certificates   the caller's SPIFFE id, as the Pod's sidecar passes it on
    limits         the file that says how often: read strictly, read again when it changes
    buckets        a token bucket a client, and the refusal when it is empty
"""
