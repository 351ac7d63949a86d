"""What runs, as a table in the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from presage.local import Status


def print_status(plane: Status, console: Console | None = None) -> None:
    """A line a container, then routes with their weights, what stands for local names, what was overridden and what is not enforced."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=160)
    if not plane.running:
        console.print(f"Nothing runs in {plane.state}. `presage up` starts it.", soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("NAME", "READY", "PHASE", "RESTARTS", "AGE", "MEMORY", "ADDRESS", "SERVES"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("RESTARTS", "AGE", "MEMORY") else "left")
    for process in plane.processes:
        done = process.phase == "done"
        table.add_row(
            process.name, Text("yes" if process.ready else "no", style="" if process.ready else "yellow"), process.phase, str(process.restarts),
            "–" if process.age_seconds is None else _age(process.age_seconds), "–" if process.rss_mib is None else f"{process.rss_mib:.0f} MiB",
            "–" if done else process.address, process.serves or "–",
        )
    console.print(table)
    for route in plane.routes:
        shares = ", ".join(f"{backend.name} {backend.weight} %" for backend in route.backends)
        console.print(Text(f"route {route.name}: {shares}"), soft_wrap=True)
    if plane.endpoints.gateway:
        console.print(Text(f"gateway {plane.endpoints.gateway} answers as {plane.endpoints.rest}"), soft_wrap=True)
        client = plane.client
        console.print(Text(f"a client of it: certificate {client.certificate}, key {client.key}, CA {client.ca}, token {client.token}"), soft_wrap=True)
    if plane.trouble:
        console.print(Text(plane.trouble, style="yellow"), soft_wrap=True)
    _print_followed(plane, console)
    for process in plane.processes:
        if process.message and not process.ready:
            console.print(Text(f"{process.name}: {process.message}", style="yellow"), soft_wrap=True)
        if process.ended and process.restarts:
            console.print(Text(f"{process.name}: last ended with {process.ended}", style="yellow"), soft_wrap=True)
    print_bindings(plane, console)
    for name, sentence in plane.scaled.items():
        console.print(Text(f"scaled {name}: {sentence}"), soft_wrap=True)
    for what in plane.not_honoured:
        console.print(Text(f"not enforced: {what}", style="dim"), soft_wrap=True)


def _print_followed(plane: Status, console: Console) -> None:
    """The branch, then a line an application; why it is not in order below it."""
    found = plane.following
    if found is None:
        return
    console.print(Text(f"follows {found.branch} of {found.repository} at {found.commit[:12]}"), soft_wrap=True)
    if found.message:
        console.print(Text(found.message, style="yellow"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("APPLICATION", "STATE", "COMMIT", "SINCE"):
        table.add_column(heading, no_wrap=True)
    for one in found.applications:
        table.add_row(one.name, Text(one.state, style="" if one.state == "Synced" else "yellow"), one.applied[:12] or "–", one.since)
    console.print(table)
    for one in found.applications:
        if one.message:
            console.print(Text(f"{one.name}, {one.state}: {one.message}", style="yellow"), soft_wrap=True)
    if found.healed:
        console.print(Text(f"put back {found.healed} {'time' if found.healed == 1 else 'times'}, last {found.last_healed}"), soft_wrap=True)


def print_bindings(plane: Status, console: Console) -> None:
    """What differs from the manifests: releases bound here, arguments overridden, in words."""
    for name, release in plane.bindings.items():
        console.print(Text(f"{name} is {release}"), soft_wrap=True)
    for sentence in plane.overrides:
        console.print(Text(f"overridden: {sentence}"), soft_wrap=True)


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 7200 else f"{seconds / 3600:.0f}h"
