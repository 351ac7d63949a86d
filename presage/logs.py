"""What a program says of itself: events as JSON, a line each, on stderr.

    log = get_logger("presage.path")
    log.warning("a model is slow", member="primary", seconds=0.4)
"""

import sys
from typing import Any

_COLOURS = "rich"
if _COLOURS not in sys.modules and "structlog" not in sys.modules:
    # structlog loads rich, where it is, for tracebacks in colour: some 0.2 s of a server's start. A console may load it later.
    sys.modules[_COLOURS] = None  # type: ignore[assignment]
    try:
        import structlog
    finally:
        del sys.modules[_COLOURS]
else:
    import structlog


def get_logger(name: str) -> Any:
    """name: `presage.<room>`."""
    return structlog.get_logger(name)


def to_stderr() -> None:
    """For programs: from here on everything is written so."""
    processors = structlog.processors
    structlog.configure(
        processors=[processors.TimeStamper("iso", utc=True), processors.add_log_level, processors.format_exc_info, processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
