"""`presage policies …`: what compliance reviews, compiled into what enforces it."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from presage.cli.failures import say


def render(check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where a committed file is not current.")] = False) -> int:
    """Compile policies/ into what enforces them: admission policies, what gates and servers read, the mesh's and the cluster's rules, Vault's
    policies and roles, what the prediction log may hold, retention's jobs and buckets' lifecycles, and a JSON Schema of each policy."""
    from presage.governance.compiling import compile_policies, stale_files, write_files
    from presage.manifests.render import manifests_folder

    root = manifests_folder().parent
    files = compile_policies(root, datetime.now(UTC))
    changed = stale_files(root, files) if check else write_files(root, files)
    for path in changed:
        print(f"{path.relative_to(root)} {'is not current' if check else 'written' if path.exists() else 'removed'}")
    if check and changed:
        say(f"{len(changed)} compiled {'file is' if len(changed) == 1 else 'files are'} not current. Run `presage policies render` and commit the result.")
        return 1
    return 0
