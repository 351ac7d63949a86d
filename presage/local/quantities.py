"""Kubernetes quantities of memory: 512Mi, 1G, 128974848."""

import re

from presage.errors import PlaneError

_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def parse_bytes(place: str, text: str) -> int:
    """Bytes of a memory quantity. Raises PlaneError naming `place`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(k|[MGT]|[KMGT]i)?", text)
    if match is None:
        raise PlaneError(f"{place} is {text!r}, no amount of memory. Write it like 512Mi.")
    return int(float(match[1]) * _FACTORS[match[2] or ""])
