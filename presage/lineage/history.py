"""What Git says of a branch at a moment, and which commits changed a thing: along first parents, as that is what was live, whatever was merged when.

    history = History(root, "main")
    history.at(moment)                              the branch's last commit then
    history.touching("policies/releases")           commits that changed it, the oldest first
    history.mentioning("sha256:…", "manifests")     paths that ever held these words

Dates are those of the commits. Whoever may rewrite the branch may write its dates, too; signed records and the audit log stand against that.
"""

from datetime import UTC, datetime

from presage.lineage.page import Commit
from presage.release.repository import Repository

_FIELDS = "%H%x00%ct%x00%an%x00%s"  # Git keeps no NUL in any of them


class History(Repository):
    """Read only. Raises StateError in Git's own words."""

    def shallow(self) -> bool:
        """Whether older commits were left out when this repository was fetched."""
        return self._git("rev-parse", "--is-shallow-repository").stdout.strip() == b"true"

    def at(self, moment: datetime) -> Commit | None:
        """The branch's last commit of that moment or before; None where it has none that old."""
        found = self._log("-1", f"--before={int(moment.timestamp())}", self._ref)
        return found[0] if found else None

    def first(self) -> Commit:
        """The oldest commit that is here."""
        return self._log(self._ref)[-1]

    def named(self, commit: str) -> Commit:
        """What a commit says of itself."""
        return self._log("-1", commit)[0]

    def touching(self, path: str) -> list[Commit]:
        """Commits that changed anything at or below `path`, the oldest first."""
        return self._log(self._ref, "--", path)[::-1]

    def bringing(self, path: str, until: str) -> Commit | None:
        """The last commit up to `until` that added the file; None where it is not known (a shallow history)."""
        found = self._log("-1", "-m", "--diff-filter=A", until, "--", path)
        return found[0] if found and not self.cut(found[0].id) else None

    def mentioning(self, words: str, folder: str) -> list[str]:
        """Paths below `folder` that a commit of the branch put these words into, or took them out of."""
        printed = self._git("log", "--first-parent", "-m", "-z", "--format=", "--name-only", f"-S{words}", self._ref, "--", folder).stdout.decode()
        return sorted({path.strip("\n") for path in printed.split("\0")} - {""})

    def added(self, commit: str, folder: str) -> list[str]:
        """Files below `folder` that a commit added to its first parent."""
        printed = self._git("show", "--first-parent", "-m", "-z", "--format=", "--name-only", "--diff-filter=A", commit, "--", folder).stdout.decode()
        return sorted({path.strip("\n") for path in printed.split("\0")} - {""})

    def has_parent(self, commit: str) -> bool:
        """Whether the commit's first parent is here."""
        return self._git("rev-parse", "--verify", "--quiet", f"{commit}^1", check=False).returncode == 0

    def cut(self, commit: str) -> bool:
        """Whether what was before the commit was left out: it looks as if it had brought everything."""
        return self.shallow() and not self.has_parent(commit)

    def changed(self, *folders: str) -> bool:
        """Whether the checkout has files below `folders` that its commit has otherwise, or not at all."""
        return bool(self._git("status", "--porcelain", "--", *folders).stdout.strip())

    def origin(self) -> str:
        """The address of the remote called origin; empty where there is none."""
        return self._git("config", "--get", "remote.origin.url", check=False).stdout.decode().strip()

    def _log(self, *words: str) -> list[Commit]:
        printed = self._git("log", "--first-parent", "--no-show-signature", "-z", f"--format={_FIELDS}", *words).stdout.decode(errors="replace")
        parts = printed.split("\0")
        found = zip(parts[0::4], parts[1::4], parts[2::4], parts[3::4], strict=False)
        return [Commit(id.strip(), datetime.fromtimestamp(int(at), UTC), author, subject) for id, at, author, subject in found]
