"""Images by their parts, and which programs are in those whose content is known."""

import re
from dataclasses import dataclass

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
UNRESOLVED = "unresolved"

# Our images are Debian slim with the environment; the others are those of overlay local. An image that is not here is not judged.
PROGRAMS = {
    "presage/serving": frozenset({"python", "python3", "sh", "cat", "true", "test", "sleep"}),
    "presage/training": frozenset({"python", "python3", "sh", "cat", "true", "test", "sleep"}),
    "openbao/openbao": frozenset({"bao", "sh", "cat", "true", "test", "wget"}),
    "chrislusf/seaweedfs": frozenset({"weed", "sh", "cat", "true", "test", "wget"}),
    "redis": frozenset({"redis-server", "redis-cli", "sh", "cat", "true", "test", "sleep"}),
    "nvidia/tritonserver": frozenset({"tritonserver", "python3", "curl", "sh", "cat", "true", "test", "sleep"}),
}  # fmt: skip


@dataclass(frozen=True)
class Image:
    """name without registry, tag and digest: `presage/serving`. Empty parts are not there."""

    name: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Image":
        tagged, _, digest = text.partition("@")
        first, slash, rest = tagged.partition("/")
        path = rest if slash and ("." in first or ":" in first or first == "localhost") else tagged
        name, colon, tag = path.rpartition(":")
        return cls(name if colon else path, tag if colon else "", digest)

    @property
    def pinned(self) -> bool:
        """Whether a digest names it."""
        return bool(_DIGEST.fullmatch(self.digest))

    @property
    def unresolved(self) -> bool:
        """Whether it stands for an image that is not published yet."""
        return UNRESOLVED in (self.digest, self.tag)

    def has(self, program: str) -> bool:
        """Whether the program is in the image, as far as that is known."""
        known = PROGRAMS.get(self.name)
        return known is None or program.rpartition("/")[2] in known
