"""`presage policies …`: what compliance reviews, compiled into what enforces it."""

from typing import Annotated

import typer

from presage.cli.failures import say


def render(check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where a committed file is not current.")] = False) -> int:
    """Compile policies/access.yaml into manifests/base/platform/generated, manifests/vault/generated and its JSON Schema."""
    from presage.governance.access import compile_access, load_access_policy, stale_files, write_files
    from presage.manifests.render import manifests_folder

    root = manifests_folder().parent
    files = compile_access(load_access_policy(root / "policies" / "access.yaml"))
    changed = stale_files(root, files) if check else write_files(root, files)
    for path in changed:
        print(f"{path.relative_to(root)} {'is not current' if check else 'written' if path.exists() else 'removed'}")
    if check and changed:
        say(f"{len(changed)} compiled {'file is' if len(changed) == 1 else 'files are'} not current. Run `presage policies render` and commit the result.")
        return 1
    return 0
