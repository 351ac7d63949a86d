"""`presage release approve` and `revoke`: what people say of a release, into Git."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.failures import say
from presage.cli.output import Output, OutputOption, print_json
from presage.cli.release import StoreOption, TrustOption, open_store, parse_release
from presage.errors import UsageError

if TYPE_CHECKING:
    from presage.package.dsse import Signer

_TRANSIT = "transit:"
RepositoryOption = Annotated[
    Path | None, typer.Option("--repository", metavar="FOLDER", help="The checkout whose policies/ are meant; default: this one.")
]


def approve(  # noqa: PLR0917 - options, passed by name
    release: Annotated[str, typer.Argument(metavar="NAME:VERSION", help="Which release: NAME:VERSION, or a presage:// URI.")],
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="In which role, as policies/approvals.yaml calls it.")],
    key: Annotated[str, typer.Option("--key", metavar="FILE|transit:NAME", help="Your key (ECDSA P-256): a file, or one in Vault (PRESAGE_VAULT_…).")],
    lasts: Annotated[str | None, typer.Option("--lasts", metavar="DURATION", help="How long, as 30d; default: as long as the policy allows.")] = None,
    store: StoreOption = None,
    trust: TrustOption = None,
    repository: RepositoryOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Approve a release: check it as the gate will, and write a signed statement into policies/approvals.

    Commit it with what `presage policies render` changes.
    """
    from presage.durations import parse_duration
    from presage.governance.approving import approve as write
    from presage.governance.audit import AuditLog
    from presage.manifests.render import manifests_folder
    from presage.package.keys import Trust
    from presage.state import State

    state = State.open()
    root = repository or manifests_folder().parent
    now = datetime.now(UTC)
    made = write(
        root, parse_release(release), open_store(store, state), Trust.open(trust or state.keys), role=role, signer=_signer(key), now=now,
        lasts=parse_duration(lasts) if lasts else None,
    )  # fmt: skip
    facts = {"release": made.subject.name, "digest": made.subject.digest, "role": role, "approver": made.approval.approver, "expires": made.approval.expires}
    AuditLog.open(state.root / "audit").append("approved", made.subject.name, facts, at=now)
    if output is Output.json:
        print_json({"statement": str(made.path), **facts, "lacking": made.lacking})
        return
    print(f"{made.subject.name} {made.subject.digest}")
    print(f"  tier {made.subject.tier}, approved by {made.approval.approver} as {role} until {made.approval.expires}")
    print(f"  {made.path}")
    say(made.lacking or f"{made.subject.name} has every approval that its tier asks for. Run `presage policies render` and commit both.")


def revoke(
    release: Annotated[str, typer.Argument(metavar="NAME:VERSION|DIGEST", help="Which release (or sha256:… of a release or package).")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why: gates and answers repeat it.")],
    store: StoreOption = None,
    repository: RepositoryOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Enter a release into policies/revocations.yaml and compile it. Commit the result: gates and admission refuse it then, and servers leave it."""
    from presage.governance.audit import AuditLog
    from presage.governance.compiling import compile_policies, write_files
    from presage.governance.revoked import enter
    from presage.manifests.render import manifests_folder
    from presage.state import State

    state = State.open()
    root = repository or manifests_folder().parent
    now = datetime.now(UTC)
    digest = release if release.startswith("sha256:") else str(open_store(store, state).pin(parse_release(release)).digest)
    enter(root / "policies" / "revocations.yaml", digest, because, now.date())
    changed = [root / "policies" / "revocations.yaml", *write_files(root, compile_policies(root, now))]
    AuditLog.open(state.root / "audit").append("revoked", release, {"digest": digest, "because": because}, at=now)
    if output is Output.json:
        print_json({"digest": digest, "because": because, "files": [str(path) for path in changed]})
        return
    for path in changed:
        print(path)
    say(f"{digest} is revoked. Run `presage manifests render` and commit the result.")


def _signer(key: str) -> "Signer":
    from presage.package.keys import read_key

    if not key.startswith(_TRANSIT):
        return read_key(Path(key))
    from presage.secrets.transit import TransitSigner
    from presage.secrets.vault import VaultSettings, connect

    if not os.environ.get("PRESAGE_VAULT_ADDRESS"):
        raise UsageError(f"{key} is a key in Vault, and PRESAGE_VAULT_ADDRESS is not set. Set PRESAGE_VAULT_…, or name a file.")
    return TransitSigner(connect(VaultSettings.from_environment(os.environ)), key.removeprefix(_TRANSIT))
