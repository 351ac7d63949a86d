"""Features: declared once as data, computed by engines that agree, kept in an online store."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from presage.features.newest import get

__all__ = ["get"]


def __getattr__(name: str) -> Any:
    # polars loads in a third of a second: not for those who only want a declaration
    if name == "get":
        from presage.features.newest import get

        return get
    raise AttributeError(f"module 'presage.features' has no attribute {name!r}")
