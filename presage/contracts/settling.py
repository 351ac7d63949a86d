"""The contract of a model trained again: its callers keep what they have, unless somebody decided otherwise.

Ranges that come from data would move a little with every training, and each move inwards would break a caller. So what the last release
took is taken again (components.package.contracts), and the version follows from what is left of the difference. `contract_major` in the
model's policy is the promise: a run that would break it is refused. Where it says nothing, a breaking change becomes the next major version.
"""

import msgspec

from presage.contracts.successor import judge, said
from presage.contracts.version import Version
from presage.errors import InputError
from presage.package.contract import Contract


def versioned(contract: Contract, before: Contract | None, major: int | None, policy: str) -> Contract:
    """`contract` under the version that it needs after `before`. major: as the policy promises it, or None. Raises InputError where it breaks that promise."""
    if before is None or (major is not None and before.semantic_version.major < major):
        return msgspec.structs.replace(contract, version=str(Version(major or 1, 0, 0)))
    last = before.semantic_version
    if major is not None and last.major > major:
        raise InputError(f"{policy}: contract_major is {major}, and the last release of {contract.name} has contract {last}. Say contract_major: {last.major}.")
    verdict = judge(before, msgspec.structs.replace(contract, version=str(last)))
    if verdict.refused and major is not None:
        raise InputError(f"{policy} promises contract_major {major}, and {said(verdict)}")
    return msgspec.structs.replace(contract, version=verdict.required)
