"""How patient a client is, and what it may answer itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClientSettings:
    """Durations in seconds."""

    seconds: float = 5.0
    """For one call of `predict` altogether, where the call names no other; the server is told what is left of it."""
    retries_per_call: float = 0.1
    """What each call adds to the budget of retries: an outage is met with a tenth more requests, not with a multiple."""
    retries_saved: float = 10.0
    """The most that the budget holds, and what it begins with."""
    first_pause: float = 0.05
    """Before the first retry of an endpoint at the most; doubled from one to the next, and drawn by chance, so that clients do not return together."""
    longest_pause: float = 2.0
    cooldown: float = 1.0
    """How long an endpoint that failed is asked only after the others; Retry-After, where it names one."""
    last_rung: bool = True
    """Whether the client answers itself when nothing else does. False: PlaneError."""
    last_answer: float = 900.0
    """How old a last answer may be."""
    servers_kept: int = 10_000
    """Last answers that are kept; the oldest go."""
    rules_every: float = 60.0
    """How often the release's rules are asked for, at the most."""
    write_every: float = 5.0
    """How often the file is written, at the most; and at the end."""
