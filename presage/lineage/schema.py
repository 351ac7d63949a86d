"""docs/schemas/audit-trace.json, from the page's types: `python -m presage.lineage.schema > docs/schemas/audit-trace.json`."""

import json
import sys
from typing import Any

import msgspec

from presage.lineage.page import Trace


def schema() -> dict[str, Any]:
    """Of what `presage audit trace -o json` prints. Later versions may add keys."""
    (whole,), parts = msgspec.json.schema_components([Trace], ref_template="#/$defs/{name}")
    top = parts.pop(whole["$ref"].rpartition("/")[2])
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://presage.io/schemas/audit-trace.json",
        "title": "presage audit trace -o json", "description": "What `presage audit trace -o json` prints.",
    }  # fmt: skip
    return {**head, **{key: value for key, value in top.items() if key not in head}, "$defs": parts}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
