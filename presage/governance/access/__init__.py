"""`policies/access.yaml`: who may call, see and have what; and everything that enforces it, compiled.

    policy = load_access_policy(root / "policies" / "access.yaml")
    files = compile_access(policy)       # path in the repository -> text; pure
    stale_files(root, files)             # what is committed and is not that
    write_files(root, files)

A reader of one room starts in `document`; `mesh`, `network`, `limits`, `people` and `vault` each compile one thing of it.
"""

from presage.governance.access.compiling import compile_access
from presage.governance.access.document import AccessPolicy, load_access_policy, parse_access_policy
from presage.governance.access.files import stale_files, write_files

__all__ = ["AccessPolicy", "compile_access", "load_access_policy", "parse_access_policy", "stale_files", "write_files"]
