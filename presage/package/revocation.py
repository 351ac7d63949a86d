"""Releases and packages that may no longer be loaded, as one JSON file that is mounted beside the trusted keys.

    {"schema": "presage.revocations/v1", "revoked": [{"digest": "sha256:…", "because": "leaks labels"}]}
"""

from pathlib import Path

import msgspec

from presage.errors import ArtifactRefused


class _Revoked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: str
    because: str


class Revocations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """digest: of a release's document or of a package's manifest."""

    revoked: list[_Revoked]
    schema: str = "presage.revocations/v1"

    @classmethod
    def open(cls, path: Path) -> "Revocations":
        """Read the list. One that is configured but cannot be read refuses everything: raises ArtifactRefused("revoked")."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise ArtifactRefused("revoked", f"{path}: the revocation list cannot be read ({error.strerror}). Mount it, or unset its setting.") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ArtifactRefused("revoked", f"{path}: not a revocation list ({error}). Mend the file.") from None

    def reason(self, digest: str) -> str | None:
        """Why `digest` may not be loaded, or None."""
        return next((entry.because or "no reason given" for entry in self.revoked if entry.digest == digest), None)
