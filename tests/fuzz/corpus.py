"""The kept inputs: a line of base64 each, sorted, so that a change of the file can be read as one."""

from base64 import b64decode, b64encode
from pathlib import Path

FILE = Path(__file__).parent / "corpus.txt"


def kept() -> list[bytes]:
    return [b64decode(line) for line in FILE.read_text().split()]


def keep(inputs: set[bytes]) -> int:
    """Add these; how many were new."""
    known = set(kept())
    FILE.write_text("".join(f"{line}\n" for line in sorted(b64encode(each).decode() for each in known | inputs)))
    return len(inputs - known)
