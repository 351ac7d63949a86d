"""`presage release …`: releases composed, published to where Pods take them from, shown, and wrapped anew after a rotation."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.failures import say
from presage.cli.output import Output, OutputOption, print_json
from presage.errors import UsageError

if TYPE_CHECKING:
    from presage.package.keys import SigningKey, Trust
    from presage.package.reference import Reference
    from presage.package.store import ReleaseStore
    from presage.state import State

StoreOption = Annotated[str | None, typer.Option("--store", metavar="STORE", help="A folder or s3://BUCKET[/PREFIX]; default: this state's releases.")]
KeyOption = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Sign with this ECDSA P-256 key; default: this state's own.")]
TrustOption = Annotated[Path | None, typer.Option("--trust", metavar="FOLDER", help="Whose *.pub keys are trusted; default: this state's.")]


def compose(  # noqa: PLR0917 - options, passed by name
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the release is called.")],
    primary: Annotated[str, typer.Option("--primary", metavar="MODEL", help="Who answers: a model's name or its package's digest.")],
    simpler: Annotated[str | None, typer.Option("--simpler", metavar="MODEL", help="Who answers when the primary cannot.")] = None,
    last_good: Annotated[str | None, typer.Option("--last-good", metavar="MODEL", help="The primary before this one.")] = None,
    ensemble: Annotated[list[str] | None, typer.Option("--ensemble", metavar="MODEL", help="A model that answers with the primary; may be repeated.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", metavar="FILE", help="Model policy; default: policies/models/NAME.yaml.")] = None,
    default_risk: Annotated[
        float | None, typer.Option("--default-risk", min=0.0, max=1.0, help="Risk when nothing answers; default: the primary's prevalence.")
    ] = None,
    version: Annotated[int, typer.Option("--version", min=1, max=999_999_999, help="At least this version; default: the next one.")] = 1,
    store: StoreOption = None,
    key: KeyOption = None,
    trust: TrustOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Compose the next version of a release from packages that lie in a store, and sign it."""
    from presage.governance.model_policy import load_model_policy
    from presage.package.composing import compose_release
    from presage.package.reference import is_name
    from presage.state import State

    if not is_name(name):
        raise UsageError(f"{name[:100]!r} is no name of a release: lower-case words, joined by hyphens.")
    state = State.open()
    named: dict[str, str | None] = {"primary": primary, "last_good": last_good, "simpler": simpler}
    named |= {f"ensemble/{model}": model for model in ensemble or ()}
    published = compose_release(
        name,
        {role: model for role, model in named.items() if model is not None},
        open_store(store, state),
        load_model_policy(policy or Path("policies") / "models" / f"{name}.yaml"),
        _key(key, state),
        trust=_trust(trust, state),
        default=default_risk,
        least=version,
    )
    _print_uri(published.uri, output)


def publish(  # noqa: PLR0917 - options, passed by name
    release: Annotated[str, typer.Argument(metavar="NAME[:VERSION]", help="Which release: NAME or NAME:local for the last, or a presage:// URI.")],
    to: Annotated[str, typer.Option("--to", metavar="STORE", help="A folder or s3://BUCKET[/PREFIX].")],
    seal: Annotated[bool, typer.Option("--seal/--no-seal", help="Encrypt models and arrays under a key wrapped by Vault (PRESAGE_VAULT_…).")] = True,
    store: StoreOption = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Sign anew with this ECDSA P-256 key; default: signatures as they are.")] = None,
    trust: TrustOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Copy a release to where Pods take it from, sealed; print the URI for Git.

    Name and digest stay. What is there already is left as it is, and an interrupted upload goes on when the same command is given again.
    """
    from presage.governance.repository import Policies
    from presage.manifests.render import manifests_folder
    from presage.package.keys import read_key
    from presage.package.publishing import publish as copy
    from presage.package.transit_keys import keys_from_environment
    from presage.state import State

    state = State.open()
    keys = keys_from_environment(os.environ) if seal else None
    if seal and keys is None:
        raise UsageError("PRESAGE_VAULT_ADDRESS is not set, so there is no key to seal with. Set PRESAGE_VAULT_…, or say --no-seal.")
    policies = manifests_folder().parent
    approvals = Policies.read(policies).approvals if (policies / "policies" / "risk-tiers.yaml").is_file() else None
    reference = copy(
        parse_release(release), open_store(store, state), _opened(to), keys, trust=_trust(trust, state), key=read_key(key) if key else None,
        approvals=approvals,
    )  # fmt: skip
    say(f"{'sealed' if seal else 'in the clear'} in {to}")
    _print_uri(str(reference), output)


def show(
    release: Annotated[str, typer.Argument(metavar="URI|NAME", help="NAME for the last, NAME:VERSION, or a presage:// URI.")],
    store: StoreOption = None,
    trust: TrustOption = None,
    output: OutputOption = Output.table,
) -> None:
    """What a release holds, who signed it, its tier, whether it is sealed and by which version of the key. Nothing is opened or loaded."""
    from presage.errors import ArtifactRefused
    from presage.package.inspection import show as look
    from presage.state import State

    state = State.open()
    try:
        trusted = _trust(trust, state)
    except ArtifactRefused:  # a state that signed nothing yet trusts nobody, and can look all the same
        trusted = None
    shown = look(parse_release(release), open_store(store, state), trusted)
    if output is Output.json:
        print_json(shown)
        return
    from presage.console.releases import print_release

    print_release(shown)


def rewrap(
    store: Annotated[str, typer.Argument(metavar="STORE", help="A folder or s3://BUCKET[/PREFIX].")],
    release: Annotated[str | None, typer.Argument(metavar="NAME:VERSION", help="One release; default: every sealed one.")] = None,
    output: OutputOption = Output.table,
) -> None:
    """Wrap data keys by the newest version of Vault's transit key, after it was rotated. No file is encrypted anew."""
    from presage.package.rewrapping import rewrap as wrap
    from presage.package.transit_keys import keys_from_environment

    keys = keys_from_environment(os.environ)
    if keys is None:
        raise UsageError("PRESAGE_VAULT_ADDRESS is not set, so there is no key to wrap with. Set PRESAGE_VAULT_….")
    done = wrap(_opened(store), keys, release)
    if output is Output.json:
        print_json(done)
        return
    for one in done:
        print(f"{one.release}  key version {one.before}" + (f" → {one.after}" if one.after != one.before else ", the newest"))
    if not done:
        say(f"{store} holds no sealed release")


def open_store(address: str | None, state: "State") -> "ReleaseStore":
    """A store as a person names it; the state's own where nobody does."""
    from presage.package.store import ReleaseStore

    return ReleaseStore(state.releases) if address is None else _opened(address)


def _opened(address: str) -> "ReleaseStore":
    from presage import hosts
    from presage.package.store import ReleaseStore

    hosts.install()
    return ReleaseStore.open(address, os.environ)


def _key(path: Path | None, state: "State") -> "SigningKey":
    from presage.package.keys import local_key, read_key

    return local_key(state.keys) if path is None else read_key(path)


def _trust(folder: Path | None, state: "State") -> "Trust":
    from presage.package.keys import Trust

    return Trust.open(folder or state.keys)


def parse_release(text: str) -> "Reference":
    """NAME, NAME:local, NAME:VERSION or a URI; without a digest, the store says which."""
    from presage.package.reference import Reference, is_name, parse_reference

    if text.startswith("presage://"):
        return parse_reference(text, allow_local=True)
    name, _, tag = text.partition(":")
    if not is_name(name) or not (tag in ("", "local") or (tag.isascii() and tag.isdigit() and 0 < int(tag) < 1_000_000_000)):
        raise UsageError(f"{text[:100]!r} is no release. Write NAME, NAME:VERSION or presage://NAME:VERSION@sha256:DIGEST.")
    return Reference(name, int(tag) if tag.isdigit() else None, None)


def _print_uri(uri: str, output: Output) -> None:
    if output is Output.json:
        print_json({"uri": uri})
    else:
        print(uri)
