"""How a release is named: `presage://incident:7@sha256:<64 hex>`.

The digest is that of `release.json`, the plaintext release document. `presage://incident:local` means the last release made
here; overlay local alone may say so. `@unresolved` stands in Git until a release is published, and is never loaded.
"""

import re
from dataclasses import dataclass

from presage.errors import ArtifactRefused

_NAME = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_REFERENCE = re.compile(rf"presage://(?P<name>{_NAME}):(?P<tag>local|[1-9][0-9]{{0,8}})(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?")


@dataclass(frozen=True)
class Reference:
    """version is None for `local`; digest is `sha256:<hex>`, None only for `local`."""

    name: str
    version: int | None
    digest: str | None

    @property
    def local(self) -> bool:
        return self.version is None

    def __str__(self) -> str:
        tag = "local" if self.version is None else str(self.version)
        return f"presage://{self.name}:{tag}" + (f"@{self.digest}" if self.digest else "")


def parse_reference(uri: str, allow_local: bool = False) -> Reference:
    """Read a release's name. Raises ArtifactRefused("digest") for whatever does not pin one release."""
    if uri.endswith("@unresolved"):
        raise ArtifactRefused("digest", f"{uri!r} names no release yet. Publish one and write its digest in place of `unresolved`.")
    match = _REFERENCE.fullmatch(uri)
    if match is None:
        raise ArtifactRefused("digest", f"{uri[:200]!r} is no release. Write presage://NAME:VERSION@sha256:DIGEST.")
    name, tag, digest = match["name"], match["tag"], match["digest"]
    if tag == "local":
        if digest is not None:
            raise ArtifactRefused("digest", f"{uri!r} says local and names a digest. Write one of the two.")
        if not allow_local:
            raise ArtifactRefused("digest", f"{uri!r} is for overlay local alone. Write presage://{name}:VERSION@sha256:DIGEST.")
        return Reference(name, None, None)
    if digest is None:
        raise ArtifactRefused("digest", f"{uri!r} is a tag, which can be moved. Add the digest: presage://{name}:{tag}@sha256:DIGEST.")
    return Reference(name, int(tag), digest)


def is_name(text: str) -> bool:
    """Whether a model or release may be called this: lower-case words joined by hyphens."""
    return re.fullmatch(_NAME, text) is not None
