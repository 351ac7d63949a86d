"""The only things the plane rewrites in a container's command, args, env and probes: mount paths, 0.0.0.0 and 127.0.0.1."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Substitution:
    """folders: mountPath → folder of this machine. address: the Pod's inner one, which stands for 0.0.0.0 and 127.0.0.1."""

    folders: Mapping[str, str]
    address: str

    def __call__(self, text: str) -> str:
        """`text` with each mount path (whole path components only, the longest first) and each such address replaced, in one pass."""
        return self._pattern().sub(lambda match: self.address if match[0] in _EVERY else self.folders[match[0]], text)

    def _pattern(self) -> re.Pattern[str]:
        paths = sorted(self.folders, key=len, reverse=True)
        mounts = [rf"(?<![\w./-]){re.escape(path)}(?=/|[^\w./-]|$)" for path in paths]
        return re.compile("|".join([*(rf"(?<![\d.]){re.escape(address)}(?![\d.])" for address in _EVERY), *mounts]))


_EVERY = ("0.0.0.0", "127.0.0.1")  # noqa: S104 - what manifests write; never bound


def expand_variables(text: str, variables: Mapping[str, str]) -> str:
    """Kubernetes' $(NAME): replaced where NAME is known, left as it is where not; $$( is a literal $(."""
    return re.sub(r"\$\$|\$\((\w[\w.-]*)\)", lambda match: "$" if match[0] == "$$" else variables.get(match[1], match[0]), text)
