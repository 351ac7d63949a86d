"""`presage vault …`: Vault's own side, from the files that lie in Git."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.failures import say
from presage.cli.output import Output, OutputOption, print_json
from presage.errors import UsageError

if TYPE_CHECKING:
    from presage.secrets.differences import Change
    from presage.secrets.trust import JwtTrust

Text = str | None
File = Path | None


def apply(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare and change nothing; exit 1 where something would change.")] = False,
    confirm: Annotated[bool, typer.Option("--confirm", help="Make it so.")] = False,
    address: Annotated[Text, typer.Option("--address", metavar="URL", help="https://HOST:PORT. Default: $VAULT_ADDR.")] = None,
    ca: Annotated[File, typer.Option("--ca", metavar="FILE", help="Who issued its certificate (PEM). Default: $VAULT_CACERT, else the system's.")] = None,
    token_file: Annotated[File, typer.Option("--token-file", metavar="FILE", help="Holds an operator's token. Default: $VAULT_TOKEN.")] = None,
    domain: Annotated[str, typer.Option("--domain", metavar="NAME", help="Of this environment's services: what $(DOMAIN) stands for.")] = "",
    jwt_keys: Annotated[File, typer.Option("--jwt-keys", metavar="FILE", help="Public keys that sign service account tokens: PEM or a key set.")] = None,
    jwks_url: Annotated[str, typer.Option("--jwks-url", metavar="URL", help="Where those keys are published, instead.")] = "",
    oidc_url: Annotated[str, typer.Option("--oidc-url", metavar="URL", help="Or the cluster's OIDC issuer.")] = "",
    jwks_ca: Annotated[File, typer.Option("--jwks-ca", metavar="FILE", help="Who issued the certificate of that URL (PEM).")] = None,
    jwt_issuer: Annotated[str, typer.Option("--jwt-issuer", metavar="NAME", help="The only issuer (iss) whose tokens count.")] = "",
    prune: Annotated[bool, typer.Option("--prune", help="Remove roles and policies of ours that the folder does not know. Data is never removed.")] = False,
    folder: Annotated[File, typer.Option("--folder", metavar="FOLDER", help="Default: manifests/vault.")] = None,
    output: OutputOption = Output.table,
) -> int:
    """Compare manifests/vault with a running Vault (or OpenBao), and with --confirm make it so. A second run finds nothing to do.

    The token is read from a file or from $VAULT_TOKEN, never from the command line, where other users would see it.
    """
    if dry_run == confirm:
        raise UsageError("say either --dry-run or --confirm. The first changes nothing.")
    from presage.manifests.render import manifests_folder
    from presage.secrets import changes
    from presage.secrets.configuration import read_configuration
    from presage.secrets.vault import open_client

    where = address or os.environ.get("VAULT_ADDR", "")
    if not where:
        raise UsageError("which Vault? Give --address https://HOST:PORT, or set VAULT_ADDR.")
    wanted = read_configuration(folder or manifests_folder() / "vault")
    trusted = ca or (Path(os.environ["VAULT_CACERT"]) if os.environ.get("VAULT_CACERT") else None)
    client = open_client(where, trusted, operator_token(token_file, os.environ))
    trust = _trust(jwt_keys, jwks_url, oidc_url, jwks_ca, jwt_issuer)
    found = changes.compare(client, wanted, domain=domain, trust=trust, prune=prune)
    result = changes.apply(found) if confirm else found
    if output is Output.json:
        print_json({"address": where, "applied": confirm, "changes": [_row(change) for change in result]})
    else:
        _print_table(result)
    return _outcome(result, confirm)


def _outcome(result: "Sequence[Change]", confirm: bool) -> int:
    """The exit code, and in words what was or would be done."""
    from presage.secrets.changes import PENDING, WRONG

    pending = sum(change.action in PENDING for change in result)
    wrong = sum(change.action in WRONG for change in result)
    unknown = sum(change.action == "unknown" for change in result)
    words = f"{pending} of {len(result)} {'made so' if confirm else 'would change'}" if pending else f"nothing to do: {len(result)} compared"
    words += f"; {wrong} could not be made so" if wrong and confirm else f"; {wrong} in conflict" if wrong else ""
    say(words + (f"; {unknown} that the folder does not know" if unknown else ""))
    return 1 if wrong or (pending and not confirm) else 0


def operator_token(token_file: Path | None, env: Mapping[str, str]) -> str:
    """What a command asks Vault with. Raises UsageError where there is none."""
    if token_file is None:
        token = env.get("VAULT_TOKEN", "").strip()
        if not token:
            raise UsageError("no token to ask with. Give --token-file FILE, or set VAULT_TOKEN.")
        return token
    try:
        token = token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{token_file}: the token cannot be read ({error}). Name a file that holds nothing but an operator's token.") from None
    if not token or len(token.split()) > 1:
        raise UsageError(f"{token_file} does not hold exactly one token. Name a file that holds nothing but an operator's token.")
    return token


def _trust(keys: Path | None, jwks_url: str, oidc_url: str, ca: Path | None, issuer: str) -> "JwtTrust | None":
    from presage.secrets.trust import JwtTrust

    if sum((keys is not None, bool(jwks_url), bool(oidc_url))) > 1:
        raise UsageError("--jwt-keys, --jwks-url and --oidc-url exclude each other. Give one.")
    if keys is not None:
        return JwtTrust.from_keys(keys, issuer)
    if not (jwks_url or oidc_url):
        if ca or issuer:
            raise UsageError("--jwks-ca and --jwt-issuer say more of --jwt-keys, --jwks-url or --oidc-url. Give one of these, too.")
        return None
    try:
        pem = ca.read_text(encoding="ascii") if ca is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{ca}: the authority cannot be read ({error}). Name a PEM file.") from None
    return JwtTrust(jwks_url=jwks_url, oidc_discovery_url=oidc_url, ca_pem=pem, issuer=issuer)


def _row(change: "Change") -> dict[str, object]:
    return {"object": change.object, "action": change.action.value, "details": list(change.details)}


def _print_table(result: "Sequence[Change]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Cell

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("OBJECT", "ACTION", "WHAT"):
        table.add_column(heading, no_wrap=heading != "WHAT")
    for change in result:
        style = {"unchanged": "dim", "conflict": "red", "refused": "red", "unknown": "yellow"}.get(change.action.value, "")
        table.add_row(Cell(change.object), Cell(change.action.value, style=style), Cell("\n".join(change.details)))
    console.print(table)
