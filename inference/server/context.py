"""What a request says of itself, for the router: a few short words, such as its domain and its system's type."""

from presage.errors import RequestRefused

MOST, LONGEST = 8, 64


def check_context(context: dict[str, str]) -> dict[str, str]:
    """The same context. Raises RequestRefused(400) where it is no few short words."""
    if len(context) > MOST:
        raise RequestRefused(400, "context", f"The context has {len(context)} entries. Send at most {MOST}.")
    for key, value in context.items():
        if len(key) > LONGEST or len(value) > LONGEST:
            raise RequestRefused(400, "context", f"The context entry {key[:LONGEST]!r} has more than {LONGEST} characters. Send a short word.")
    return context
