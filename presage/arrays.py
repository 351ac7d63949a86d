"""Named arrays as bytes: the safetensors format, one byte string for equal content.

The library writes metadata in an order of chance, so that equal arrays would have unequal digests; here the header is
canonical JSON. No code and no pickle can hide in such a file.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from presage.files import canonical_json


def arrays_to_bytes(arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """Safetensors of `arrays` (numpy, any shape); the same arrays and metadata give the same bytes."""
    content = bytes(save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}, metadata=dict(metadata or {})))
    length = int.from_bytes(content[:8], "little")
    header = canonical_json(json.loads(content[8 : 8 + length]))
    header += b" " * (-len(header) % 8)  # arrays stay aligned
    return len(header).to_bytes(8, "little") + header + content[8 + length :]
