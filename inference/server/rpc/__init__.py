"""The gRPC door: `inference.GRPCInferenceService` in front of the queue that all doors share.

    protocol    the messages, in a pool of their own
    tensors     ModelInferRequest in, ModelInferResponse out; the same reading as the HTTP dialect's
    calls       what each method answers
    gathering   calls that arrive together are answered together
    patience    how long a call may be half sent
    status      a refusal as gRPC says it
    tls         certificates, where no sidecar has them
    door        grpc.aio: limits, admission before the message is read, a stop that waits for answers
"""

import os

# Read once, when gRPC is imported. Nothing here forks; what a remote caller does wrong fills no log; and sockets are read by the thread that
# waits for completions, not by a pool of others, which saves a tenth to a fifth of a call.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
