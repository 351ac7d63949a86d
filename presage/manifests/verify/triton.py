"""Triton as a container runs it: its command line, read as Triton reads it (the last word holds)."""

from presage.manifests.verify.images import Image
from presage.manifests.verify.subjects import Container

PROGRAM = "tritonserver"
ENDPOINTS = ("http", "grpc", "metrics")


def runs_triton(container: Container) -> bool:
    """By its command, or by its image where it has none."""
    command = container.manifest.get("command") or []
    if command:
        return str(command[0]).rpartition("/")[2] == PROGRAM
    return Image.parse(container.image).name.endswith(PROGRAM)


def argument(container: Container, name: str) -> str | None:
    """The value of `--name=…` or `--name …`, None without it."""
    words, found = container.words, None
    for place, word in enumerate(words):
        if word.startswith(f"--{name}="):
            found = word.partition("=")[2]
        elif word == f"--{name}" and place + 1 < len(words):
            found = words[place + 1]
    return found


def arguments(container: Container, name: str) -> list[str]:
    """Every value of a flag that may be given several times."""
    return [word.partition("=")[2] for word in container.words if word.startswith(f"--{name}=")]


def switched_off(container: Container, endpoint: str) -> bool:
    return (argument(container, f"allow-{endpoint}") or "").lower() in ("false", "0")
