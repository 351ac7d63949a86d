"""Who calls, with which certificate, and how often each may.

    certificates   the caller's SPIFFE id and its certificate's fingerprint, as the Pod's sidecar passes them on
    revocations    the file that says which certificates are refused
    limits         the file that says how often: read strictly, read again when it changes
    buckets        a token bucket and a quota a client, and the refusal when they are empty
    shared         buckets and quotas that all replicas share, in a Redis that no request waits for
    files          a small file that is read again when it changes
"""
