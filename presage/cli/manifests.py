"""`presage manifests …`: the manifests rendered and expanded, as reviewers and the plane read them."""

import sys
from typing import Annotated

import typer

from presage.cli.failures import say

OverlayOption = Annotated[str, typer.Option("--overlay", metavar="NAME", help="A folder of manifests/overlays.")]


def render(
    overlay: Annotated[str | None, typer.Option("--overlay", metavar="NAME", help="A folder of manifests/overlays; default: all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where a committed file is not current.")] = False,
) -> int:
    """Render overlays with the lock's kustomize into manifests/rendered, which is committed."""
    from presage.manifests.render import manifests_folder, overlays, render_overlay, stale, write_rendered

    folder = manifests_folder()
    behind = 0
    for name in [overlay] if overlay else overlays(folder):
        rendered = render_overlay(folder, name)
        changed = stale(folder, name, rendered) if check else write_rendered(folder, name, rendered)
        for path in changed:
            print(f"{path.relative_to(folder.parent)} {'is not current' if check else 'written'}")
        behind += len(changed) if check else 0
    if behind:
        say(f"{behind} rendered {'file is' if behind == 1 else 'files are'} not current. Run `presage manifests render` and commit the result.")
    return 1 if behind else 0


def expand(
    overlay: OverlayOption = "local",
    every: Annotated[bool, typer.Option("--all", help="Print the other core objects too, as a cluster would hold them.")] = False,
) -> None:
    """Print the objects (YAML) that controllers would make of an overlay's custom resources."""
    from presage.manifests.expand import expand as expand_objects
    from presage.manifests.expand import made
    from presage.manifests.objects import dump_objects, parse_objects
    from presage.manifests.render import manifests_folder, render_overlay

    rendered = render_overlay(manifests_folder(), overlay)
    objects = [manifest for application, text in rendered.items() for manifest in parse_objects(text, f"{overlay}/{application}")]
    sys.stdout.write(dump_objects(expand_objects(objects) if every else made(objects)))
