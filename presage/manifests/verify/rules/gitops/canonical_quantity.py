"""A quantity is written as the server writes it: 500m, 1, 2Gi. Another spelling is a difference for ever."""

import re
from collections.abc import Iterator
from typing import Any

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


@rule("gitops/canonical-quantity", severity=Severity.warning, remedy="write it so")
def canonical_quantity(found: Written) -> Iterator[Flaw]:
    for path, value in _amounts("spec", found.spec):
        canonical = _canonical(str(value))
        if canonical is not None and canonical != str(value):
            yield found.flaw(path, f"is {value!r}, which the server writes {canonical!r}")


def _amounts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from _amounts(f"{path}[{position}]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("requests", "limits") and isinstance(item, dict):
                for name, amount in item.items():
                    yield f"{path}.{key}.{name}", amount
            elif key == "sizeLimit":
                yield f"{path}.{key}", item
            else:
                yield from _amounts(f"{path}.{key}", item)


def _canonical(text: str) -> str | None:
    if match := re.fullmatch(r"(\d+)m", text):
        number = int(match[1])
        return text if number % 1000 else str(number // 1000)
    if match := re.fullmatch(r"(\d+)([KMGTPE]i)", text):
        number, unit = int(match[1]), _UNITS.index(match[2])
        while number and number % 1024 == 0 and unit < len(_UNITS) - 1:
            number, unit = number // 1024, unit + 1
        return f"{number}{_UNITS[unit]}"
    if match := re.fullmatch(r"(\d*)\.(\d{1,3})", text):
        thousandths = int(match[1] or 0) * 1000 + int(match[2].ljust(3, "0"))
        return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
    return None
