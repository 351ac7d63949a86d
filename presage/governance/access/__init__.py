"""`policies/access.yaml`: who may call, see and have what; and everything that enforces it, compiled.

    policy = load_access_policy(root / "policies" / "access.yaml")
    files = compile_access(policy)       # path in the repository -> text; pure

A reader of one room starts in `document`; `mesh`, `network`, `limits`, `people` and `vault` each compile one thing of it.
"""

from presage.governance.access.compiling import compile_access
from presage.governance.access.document import AccessPolicy, load_access_policy, parse_access_policy

__all__ = ["AccessPolicy", "compile_access", "load_access_policy", "parse_access_policy"]
