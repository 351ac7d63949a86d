"""A registry of this machine alone: docker-registry on loopback, TLS by a certificate of its own.

    with Registry.start(folder) as registry:
        digest = registry.push(podman, "localhost/presage/serving:0.1.0", "presage/serving:0.1.0")
        registry.pull(other, f"presage/serving@{digest}")

What was pushed stays in `folder` and is there again at the next start.
"""

import ipaddress
import socket
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

import httpx2
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from images import ImageError, programs
from images.podman import Podman
from presage.files import write_bytes

_HOST = "127.0.0.1"
_PATIENCE = 20.0  # seconds to answer


@dataclass(frozen=True)
class Registry:
    """address: `127.0.0.1:PORT`. trust: the folder with `ca.crt` that podman and skopeo take as --cert-dir."""

    address: str
    trust: Path
    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, folder: Path) -> "Registry":
        """Start it over `folder`. Raises ImageError where it does not answer."""
        programs.require(["docker-registry"])
        certificate, key = _certificate()
        write_bytes(folder / "tls.crt", certificate)
        write_bytes(folder / "tls.key", key)
        trust = folder / "trust"
        write_bytes(trust / "ca.crt", certificate)
        with socket.socket() as free:
            free.bind((_HOST, 0))
            address = f"{_HOST}:{free.getsockname()[1]}"
        configuration = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}, "delete": {"enabled": True}},
            "http": {"addr": address, "tls": {"certificate": str(folder / "tls.crt"), "key": str(folder / "tls.key")}},
        }
        write_bytes(folder / "config.yaml", yaml.dump(configuration, Dumper=yaml.CSafeDumper).encode())
        with (folder / "log").open("wb") as log:
            command = [programs.find("docker-registry") or "docker-registry", "serve", str(folder / "config.yaml")]
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        registry = cls(address, trust, process)
        try:
            registry._wait(certificate, folder / "log")
        except BaseException:
            registry.stop()
            raise
        return registry

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def push(self, podman: Podman, image: str, name: str) -> str:
        """Push `image` of podman's store as `name` (`presage/serving:0.1.0`); the manifest's digest, `sha256:…`, as the registry has it."""
        with tempfile.NamedTemporaryFile("r") as digest:
            podman("push", f"--cert-dir={self.trust}", "--format=oci", f"--digestfile={digest.name}", image, f"docker://{self.address}/{name}")
            return digest.read().strip()

    def pull(self, podman: Podman, name: str) -> str:
        """Bring `name` (`presage/serving@sha256:…`) into podman's store; its name there."""
        reference = f"{self.address}/{name}"
        podman("pull", f"--cert-dir={self.trust}", "--quiet", reference)
        return reference

    def _wait(self, certificate: bytes, log: Path) -> None:
        trusted = ssl.create_default_context(cadata=certificate.decode())
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                httpx2.get(f"https://{self.address}/v2/", verify=trusted, trust_env=False, timeout=2).raise_for_status()
                return
            except httpx2.HTTPError as error:
                if self.process.poll() is not None or time.monotonic() > until:
                    said = log.read_text(errors="replace").strip().splitlines()[-2:]
                    raise ImageError(f"docker-registry does not answer on {self.address} ({error}): {' · '.join(said)}") from None
                time.sleep(0.05)


def _certificate() -> tuple[bytes, bytes]:
    """A fresh self-signed certificate for this address, good for a day, and its key (PEM both)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "presage local registry")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(True, 0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_HOST))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    return certificate.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
