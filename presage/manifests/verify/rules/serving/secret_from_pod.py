"""The word that opens Triton's shut doors is drawn for each Pod: one that stands in Git is known to everybody who reads it."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container
from presage.manifests.verify.triton import arguments, runs_triton

_VARIABLE = re.compile(r"\$\(([\w.-]+)\)")


@rule("serving/secret-from-pod", severity=Severity.error, remedy="write $(POD_UID), a variable that holds the Pod's metadata.uid")
def secret_from_pod(container: Container) -> Iterator[Flaw]:
    if not runs_triton(container):
        return
    drawn = {str(one.get("name")) for one in container.env if ((one.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath") == "metadata.uid"}
    for flag in ("http-restricted-api", "grpc-restricted-protocol"):
        for value in arguments(container, flag):
            named = _VARIABLE.fullmatch(value.rpartition("=")[2])
            if named is None or named[1] not in drawn:
                yield container.flaw("args", f"write the word of --{flag} out")
