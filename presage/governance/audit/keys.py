"""The key that signs a log's checkpoints: `audit.key` (Ed25519, PEM, 0600), made on first use, and `audit.vkey` beside it.

A log has one key for ever: what another key signed is not believed. Keep audit.vkey elsewhere too, and audit.key in the backup.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from presage.errors import StateError
from presage.files import write_bytes
from presage.governance.audit.checkpoints import Checkpoint, VerifyingKey
from presage.governance.audit.durable import made_folder, synced_folder
from presage.package.locks import locked


@dataclass(frozen=True)
class AuditKey:
    """The private half."""

    private: Ed25519PrivateKey

    @cached_property
    def public(self) -> VerifyingKey:
        raw = self.private.public_key().public_bytes_raw()
        return VerifyingKey(f"presage/audit/{hashlib.sha256(raw).hexdigest()[:16]}", raw)

    def sign(self, checkpoint: Checkpoint) -> bytes:
        """The signed note."""
        return checkpoint.note(self.private, self.public)

    @classmethod
    def open(cls, folder: Path) -> "AuditKey":
        """That of `folder`. Raises StateError where it cannot be read or made, where others may read it, and where it was lost."""
        path, public = folder / "audit.key", folder / "audit.vkey"
        try:
            made_folder(folder)
            with locked(folder):
                if not path.exists():
                    _make(path, public)
                key = _read(path)
                if not public.exists():
                    write_bytes(public, f"{key.public}\n".encode())
                    synced_folder(folder)
                written = public.read_text(encoding="ascii", errors="replace").strip()
        except OSError as error:
            raise StateError(f"{path}: the audit log's key cannot be used ({error.strerror}). Make the folder yours, or name another with --state.") from None
        if written != str(key.public):
            raise StateError(f"{public} is not the public half of {path.name}: one of the two was replaced. Restore both from a backup.")
        return key


def _make(path: Path, public: Path) -> None:
    if public.exists():
        raise StateError(f"{path} is gone, and {public.name} is there: checkpoints of a new key would not be believed. Restore it from a backup.")
    made = Ed25519PrivateKey.generate()
    write_bytes(path, made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    synced_folder(path.parent)


def _read(path: Path) -> AuditKey:
    if path.stat().st_mode & 0o077:
        raise StateError(f"{path}: others may read the audit log's key. Run chmod 600 on it.")
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise StateError(f"{path}: not an Ed25519 key in PEM form. Restore it from a backup: checkpoints of another key are not believed.")
    return AuditKey(private)
