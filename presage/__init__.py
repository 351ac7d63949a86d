"""presage predicts incidents from infrastructure telemetry and serves the predictions under governance.

What the command line does, from Python; nothing heavy is imported before it is used:

    import presage
    run = presage.run("incident-training", source="simulated:servers=12,days=7")
    presage.up(detach=True)
    presage.predict(["web-01"])
    presage.status()
    presage.report(run.run_id)
    presage.down()
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime would report home; it looks when it is loaded

if TYPE_CHECKING:
    from presage import features
    from presage.local.overview import status
    from presage.local.plane import apply, down, up
    from presage.predictions import Prediction, predict
    from presage.reports import report
    from presage.runs import run

# Modules have other names than functions here: importing a submodule would replace the function of the same name.
_LAZY = {
    "run": "presage.runs",
    "predict": "presage.predictions",
    "Prediction": "presage.predictions",
    "report": "presage.reports",
    "up": "presage.local.plane",
    "apply": "presage.local.plane",
    "down": "presage.local.plane",
    "status": "presage.local.overview",
    "features": "",
}

__all__ = ["Prediction", "apply", "down", "features", "predict", "report", "run", "status", "up"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'presage' has no attribute {name!r}")
    module = _LAZY[name]
    return getattr(import_module(module), name) if module else import_module(f"presage.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
