"""Array files: equal content, equal bytes, readable by the library."""

import numpy as np
from safetensors.numpy import load

from presage.arrays import arrays_to_bytes
from presage.package.formats import check_safetensors


def test_equal_arrays_have_equal_bytes_whatever_order_they_and_their_metadata_came_in():
    arrays = {"b": np.zeros(4, np.uint8), "a": np.arange(6, dtype=np.float64), "c": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    metadata = {f"key {i}": str(i) for i in range(20)}
    one = arrays_to_bytes(arrays, metadata)
    for _ in range(20):
        assert arrays_to_bytes(dict(reversed(arrays.items())), dict(reversed(metadata.items()))) == one
    check_safetensors(one)
    for name, array in load(one).items():
        np.testing.assert_array_equal(array, arrays[name])
