"""`--source` and `--speed` of `presage up`: the telemetry's arguments changed in memory, and said so."""

from presage.errors import UsageError
from presage.manifests.objects import Manifest, label

_SOURCE, _SPEED = "--source=", "--speed="


def source_of(objects: list[Manifest]) -> str | None:
    """The telemetry source that the Deployments' containers name; None where none does."""
    return next((word.removeprefix(_SOURCE) for found in objects for word in _words(found) if word.startswith(_SOURCE)), None)


def override(objects: list[Manifest], source: str | None, speed: float | None) -> tuple[list[Manifest], list[str]]:
    """The objects with those arguments replaced, and what was replaced, in words.

    Raises UsageError where a value was given and no container takes it.
    """
    said: list[str] = []
    for prefix, value in ((_SOURCE, source), (_SPEED, None if speed is None else f"{speed:g}")):
        if value is None:
            continue
        taking = [found for found in objects if any(word.startswith(prefix) for word in _words(found))]
        if not taking:
            raise UsageError(f"{prefix}{value}: no container of this overlay takes {prefix.rstrip('=')}. Leave it out, or choose another overlay.")
        for found in taking:
            before = next(word for word in _words(found) if word.startswith(prefix))
            if before != prefix + value:
                said.append(f"{label(found)}: {prefix}{value} (the manifest says {before})")
        objects = [_replaced(found, prefix, prefix + value) if found in taking else found for found in objects]
    return objects, said


def _words(manifest: Manifest) -> list[str]:
    if manifest["kind"] != "Deployment":
        return []
    return [word for container in manifest["spec"]["template"]["spec"].get("containers", []) for word in container.get("args", [])]


def _replaced(manifest: Manifest, prefix: str, word: str) -> Manifest:
    spec = manifest["spec"]
    pod = spec["template"]["spec"]
    containers = [{**one, "args": [word if given.startswith(prefix) else given for given in one.get("args", [])]} for one in pod["containers"]]
    return {**manifest, "spec": {**spec, "template": {**spec["template"], "spec": {**pod, "containers": containers}}}}
