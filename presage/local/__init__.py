"""The laptop plane: the Pods of the manifests, run as processes of this machine.

    up()        render, expand, train if there is no release yet, start, wait until everything is ready
    apply()     render again, and move what runs to it without dropping a request
    status()    what runs, where, since when
    down()      stop everything, and prove that nothing is left

A supervisor process (`presage.local.supervisor`) owns the Pods' processes; commands only read `plane/plane.json` and write `plane/plan.json`.
"""

from presage.local.overview import Status, status, status_document
from presage.local.plane import apply, down, up

__all__ = ["Status", "apply", "down", "status", "status_document", "up"]
