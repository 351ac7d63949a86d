"""`presage access …`: certificates of clients outside, new ones and revoked ones. Who may be a client: policies/access.yaml."""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.failures import say
from presage.cli.output import Output, OutputOption, print_json
from presage.errors import InputError, UsageError

if TYPE_CHECKING:
    import hvac
    from cryptography import x509

    from presage.governance.access.document import AccessPolicy
    from presage.secrets.callers import Ended

Address = Annotated[str | None, typer.Option("--address", metavar="URL", help="Vault, https://HOST:PORT. Default: $VAULT_ADDR, else the plane's.")]
Authority = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Who issued its certificate (PEM). Default: $VAULT_CACERT, else the system's.")]
TokenFile = Annotated[Path | None, typer.Option("--token-file", metavar="FILE", help="Holds an operator's token. Default: $VAULT_TOKEN.")]


def rotate(
    name: Annotated[str, typer.Argument(metavar="CLIENT", help="Its name in policies/access.yaml.")],
    *,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Gets tls.crt, tls.key, ca.crt, tls.pem. An older tls.crt in it is replaced.")],
    old: Annotated[Path | None, typer.Option("--old", metavar="FILE", help="The certificate that is replaced, where it lies elsewhere.")] = None,
    overlap: Annotated[str | None, typer.Option("--overlap", metavar="TIME", help="How long the old one holds, too. Default: the policy's.")] = None,
    address: Address = None,
    ca: Authority = None,
    token_file: TokenFile = None,
    output: OutputOption = Output.table,
) -> int:
    """Issue a new certificate for a client. The old one holds beside it until the overlap is over, and is refused from then on.

    The private key is written to the folder (0600) and nowhere else.
    """
    from presage.durations import parse_duration
    from presage.files import write_bytes
    from presage.secrets import callers, pki

    policy = _policy()
    client = policy.client(name)
    if client.certificate_lives is None:
        raise InputError(f"the client {name} is of the mesh: its certificates come and go by themselves. Name one from outside.")
    together = policy.revoked_clients.overlap if overlap is None else parse_duration(overlap)
    place = old or to / "tls.crt"
    if old is not None and not old.is_file():
        raise InputError(f"{old}: there is no certificate here. Name the one that is replaced.")
    replaced = [_read_certificate(place)] if place.is_file() else []
    if replaced and callers.identity(replaced[0]) != client.spiffe_id:
        raise InputError(f"{place} is a certificate of {callers.identity(replaced[0]) or 'nobody'}, not of {client.spiffe_id}. Name that client's.")
    vault, now = _vault(address, ca, token_file), time.time()
    made = callers.issue_for(vault, client.spiffe_id, client.certificate_lives)
    authorities = pki.bundle(vault, callers.MOUNT)
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    pair = made.certificate + made.private_key  # in one file they change in one step, for clients that are asking meanwhile
    for file, text in (("tls.pem", pair), ("tls.key", made.private_key), ("tls.crt", made.certificate), ("ca.crt", authorities)):
        write_bytes(to / file, text.encode())
    ended = callers.end(vault, replaced, at=now + together.total_seconds(), because="rotated", now=now) if replaced else []
    if output is Output.json:
        written = callers.parse_certificate(made.certificate.encode(), str(to))
        print_json({"client": client.spiffe_id, "folder": to, "sha256": callers.fingerprint(written), "until": made.not_after, "replaced": _rows(ended)})
        return 0
    say(f"{client.spiffe_id}: a new certificate in {to}, good until {made.not_after:%Y-%m-%d %H:%M} UTC")
    for line in ended:
        say(f"the old one ({line.sha256[:16]}…) is refused from {_time(line.since)} on")
    return 0


def revoke(
    *,
    certificate: Annotated[Path | None, typer.Option("--certificate", metavar="FILE", help="The certificate itself (PEM).")] = None,
    serial: Annotated[str | None, typer.Option("--serial", metavar="NUMBER", help="Its serial number, as Vault writes it: 1e:3e:…")] = None,
    client: Annotated[str | None, typer.Option("--client", metavar="NAME", help="All certificates of this client that are still good.")] = None,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why, for whoever reads the list.")] = "",
    address: Address = None,
    ca: Authority = None,
    token_file: TokenFile = None,
    output: OutputOption = Output.table,
) -> int:
    """Refuse a client's certificate: within seconds on every request, and at the gateway for every new connection."""
    from presage.secrets import callers

    if sum(given is not None for given in (certificate, serial, client)) != 1:
        raise UsageError("say which: one of --certificate FILE, --serial NUMBER, --client NAME.")
    if not because.strip():
        raise UsageError("say why: --because TEXT. It stands in the list as long as the certificate would have lived.")
    named = _read_certificate(certificate) if certificate is not None else None
    spiffe_id = _policy().client(client).spiffe_id if client is not None else ""
    vault, now = _vault(address, ca, token_file), time.time()
    if named is None and serial is not None:
        named = callers.by_serial(vault, serial)
    found = callers.certificates_of(vault, spiffe_id, now) if named is None else [named]
    ended = callers.end(vault, found, at=now, because=because.strip(), now=now)
    if output is Output.json:
        print_json({"revoked": _rows(ended)})
    for line in ended:
        say(f"{line.client or 'no client'}: {line.sha256[:16]}… is refused")
    return 0


def revoked(address: Address = None, ca: Authority = None, token_file: TokenFile = None, output: OutputOption = Output.table) -> int:
    """The list that predictors read: each certificate, whose it is, from when on it is refused, and why."""
    from presage.secrets import callers

    lines = callers.ended(_vault(address, ca, token_file))
    if output is Output.json:
        print_json({"revoked": _rows(lines)})
        return 0
    for line in lines:
        print(f"{line.sha256[:16]}  {_time(line.since)}  {line.client}  {line.because}")
    if not lines:
        say("no certificate is refused before its end")
    return 0


def _policy() -> "AccessPolicy":
    from presage.governance.access import load_access_policy
    from presage.manifests.render import manifests_folder

    return load_access_policy(manifests_folder().parent / "policies" / "access.yaml")


def _vault(address: str | None, ca: Path | None, token_file: Path | None) -> "hvac.Client":
    from presage.cli.vault import operator_token
    from presage.secrets.vault import open_client

    where = address or os.environ.get("VAULT_ADDR", "")
    if not where:
        from presage.local.vault import plane_client
        from presage.state import State

        return plane_client(State.open())
    trusted = ca or (Path(os.environ["VAULT_CACERT"]) if os.environ.get("VAULT_CACERT") else None)
    return open_client(where, trusted, operator_token(token_file, os.environ))


def _read_certificate(path: Path) -> "x509.Certificate":
    from presage.secrets.callers import parse_certificate

    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the certificate cannot be read ({error.strerror}). Name the client's tls.crt.") from None
    return parse_certificate(content, str(path))


def _rows(lines: "Sequence[Ended]") -> list[dict[str, object]]:
    return [line.as_document() | {"from": _moment(line.since), "until": _moment(line.until)} for line in lines]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time(seconds: float) -> str:
    return f"{_moment(seconds):%Y-%m-%d %H:%M:%S} UTC"
