"""One branch of a Git repository, changed a whole commit at a time.

    repository = Repository(root, "main")
    head = repository.head()
    with repository.tree(head) as tree:              # policies/ and manifests/ of that commit, in a folder of its own
        (tree / "policies" / "x.yaml").write_text(…)
        commit = repository.commit(head, tree, "x: why")

The branch moves by compare-and-swap: whoever read an older head is told so (Moved) and reads again, so two programs that decide at once never
make two decisions. Nothing is staged, stashed or checked out for it; a person's own changes in the checkout stay as they are. Killed at any
moment the branch is at the old commit or at the new one.

Where a remote is named, the branch is the remote's: it is fetched before each reading, moves there first, and the one of that name here follows where
it stood at the same commit. So nothing is ever committed here that the remote does not take.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from presage.errors import InputError, StateError
from presage.files import sha256_bytes

FOLDERS = ("manifests", "policies")
_SECONDS = 120.0
_ZERO = "0" * 40
_ELSEWHERE = frozenset((
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX",
))  # fmt: skip
"""What a hook of Git hands on to whatever it starts: it would make another repository of this one."""
_PROGRAM = {
    "GIT_AUTHOR_NAME": "presage release", "GIT_AUTHOR_EMAIL": "release@presage.invalid",
    "GIT_COMMITTER_NAME": "presage release", "GIT_COMMITTER_EMAIL": "release@presage.invalid",
}  # fmt: skip


class Moved(StateError):
    """Somebody else has committed to the branch meanwhile: read it again, then decide again."""


class Protected(StateError):
    """The remote does not let this branch be pushed to, whatever is in the commit."""


@dataclass(frozen=True)
class Repository:
    """root: a checkout, or a bare repository. branch: its short name. remote: whose branch it is, a name or an address; None: this repository's."""

    root: Path
    branch: str
    remote: str | None = None

    @property
    def _here(self) -> str:
        return f"refs/heads/{self.branch}"

    @property
    def _ref(self) -> str:
        """Where the branch's commit is known: a remote's under a name of its own, so that nobody's remote-tracking branches are touched."""
        if self.remote is None:
            return self._here
        return f"refs/presage/{sha256_bytes(self.remote.encode())[:12]}/{self.branch}"

    def head(self) -> str:
        """The branch's commit. Raises InputError where there is no such branch, or no repository; StateError where the remote does not answer."""
        if self.remote is not None:
            fetched = self._git("fetch", "--quiet", "--no-tags", self.remote, f"+refs/heads/{self.branch}:{self._ref}", check=False)
            if fetched.returncode:
                raise StateError(f"{_shown(self.remote)} does not give its branch {self.branch!r}: {self._said(fetched)}. Look at it, then run again.")
        return self.known()

    def known(self) -> str:
        """The branch's commit as it was read last; the remote is not asked."""
        found = self._git("rev-parse", "--verify", "--quiet", f"{self._ref}^{{commit}}", check=False)
        if found.returncode:
            raise InputError(f"{self.root} has no branch {self.branch!r}. Name one that exists: --branch.")
        return found.stdout.decode().strip()

    def commit_of(self, name: str) -> str:
        """The commit that a revision names. Raises InputError."""
        found = self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False)
        if found.returncode:
            raise InputError(f"{self.root} has no commit {name[:80]!r}. Name one that exists.")
        return found.stdout.decode().strip()

    def read(self, commit: str, path: str) -> bytes | None:
        """A file as the commit has it; None where it has none."""
        found = self._git("cat-file", "blob", f"{commit}:{path}", check=False)
        return None if found.returncode else found.stdout

    def files(self, commit: str, folder: str) -> list[str]:
        """Paths of every file below `folder` of a commit, sorted."""
        listed = self._git("ls-tree", "-r", "-z", "--name-only", commit, "--", f"{folder}/").stdout.decode()
        return sorted(path for path in listed.split("\0") if path)

    def archive(self, commit: str, folder: str) -> bytes:
        """A folder of a commit as a tar file; an empty one where it has none."""
        if not self.files(commit, folder):
            return b"\0" * 10240
        return self._git("archive", "--format=tar", commit, "--", folder).stdout

    def log(self, path: str = ".", since: str | None = None) -> list[str]:
        """Commits of the branch that touched `path`, the newest first. since: without this commit and what came before it."""
        span = f"{since}..{self._ref}" if since else self._ref
        return self._git("rev-list", span, "--", path).stdout.decode().split()

    def contains(self, commit: str, ancestor: str) -> bool:
        """Whether `ancestor` is part of the history of `commit`, or is it."""
        return self._git("merge-base", "--is-ancestor", ancestor, commit, check=False).returncode == 0

    @contextmanager
    def tree(self, commit: str) -> Iterator[Path]:
        """A folder with FOLDERS of the commit, gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="presage-release-") as folder:
            tree = Path(folder) / "tree"
            tree.mkdir()
            mine = self._mine(tree)
            self._git("read-tree", commit, env=mine)
            listed = self._git("ls-files", "-z", "--", *FOLDERS, env=mine).stdout
            self._git("checkout-index", "-z", "--stdin", env=mine, send=listed)
            yield tree

    def commit(self, parent: str, tree: Path, message: str) -> str:
        """Commit what `tree` (of this parent) has become, and move the branch from `parent` to it. The new commit; `parent` where nothing changed.

        Raises Moved where the branch is not at `parent` any more, Protected where its remote lets nobody push to it: then nothing has happened.
        """
        made = self._made(parent, tree, message)
        if made == parent:
            return parent
        if self.remote is not None:
            self._push(made, self.branch, parent)
            self._git("update-ref", self._ref, made)
        moved = self._git("update-ref", "-m", f"release: {message.splitlines()[0]}", self._here, made, parent, check=False)
        if moved.returncode == 0:
            self.bring_forward(parent, made)
        elif self.remote is None:
            raise Moved(f"{self.branch} is not at {parent[:12]} any more. Read it again, then decide again.")
        return made

    def propose(self, branch: str, parent: str, tree: Path, message: str, instead_of: str | None) -> str:
        """Commit the same to a branch of its own at the remote. instead_of: what that branch holds now, None where there is none. The new commit.

        Raises Moved where it holds something else.
        """
        made = self._made(parent, tree, message)
        self._push(made, branch, instead_of)
        return made

    def at_remote(self, branch: str) -> str | None:
        """The commit of another branch of the remote; fetched, so that it can be read. None where there is no such branch."""
        assert self.remote is not None
        listed = self._git("ls-remote", "--heads", self.remote, f"refs/heads/{branch}").stdout.decode().split()
        if not listed:
            return None
        self._git("fetch", "--quiet", "--no-tags", self.remote, listed[0])
        return listed[0]

    def between(self, before: str, now: str) -> frozenset[str]:
        """Paths that differ between two commits."""
        return frozenset(path for path in self._git("diff", "--name-only", "-z", before, now).stdout.decode().split("\0") if path)

    def parent_of(self, commit: str) -> str:
        return self._git("rev-parse", f"{commit}^").stdout.decode().strip()

    def _made(self, parent: str, tree: Path, message: str) -> str:
        """A commit that no branch is at yet."""
        mine = self._mine(tree)
        self._git("add", "--all", "--", *FOLDERS, env=mine)
        written = self._git("write-tree", env=mine).stdout.decode().strip()
        if written == self._git("rev-parse", f"{parent}^{{tree}}").stdout.decode().strip():
            return parent
        signed = ["-S"] if self._git("config", "--bool", "commit.gpgsign", check=False).stdout.strip() == b"true" else []
        return self._git("commit-tree", *signed, written, "-p", parent, "-F", "-", env=self._identity(), send=message.encode()).stdout.decode().strip()

    def _push(self, commit: str, branch: str, before: str | None) -> None:
        """Move a branch of the remote from `before` (None: it is new) to `commit`, by compare-and-swap."""
        assert self.remote is not None
        place = f"refs/heads/{branch}"
        done = self._git("push", "--quiet", "--porcelain", f"--force-with-lease={place}:{before or ''}", self.remote, f"{commit}:{place}", check=False)
        if done.returncode == 0:
            return
        said = self._said(done)
        if "[rejected]" in said:  # by Git itself, which compared; what a rule of the remote refuses is "[remote rejected]"
            raise Moved(f"{branch} of {_shown(self.remote)} is not at {(before or 'its beginning')[:12]} any more. Read it again, then decide again.")
        if "[remote rejected]" in said:
            raise Protected(f"{_shown(self.remote)} takes no commit on {branch}: {said}. Have it reviewed there (--forge), or let this account push.")
        raise StateError(f"{_shown(self.remote)} does not take {branch}: {said}. Look at the remote, then run again.")

    def bring_forward(self, before: str, now: str) -> None:
        """Where the branch is checked out, give the checkout the files that changed from one commit to the other, unless a person has changed them.

        Doing it again does no harm; what was left half-done by a kill is finished by the next call.
        """
        bare = self._git("rev-parse", "--is-bare-repository").stdout.strip() == b"true"
        if bare or self._git("symbolic-ref", "--quiet", "HEAD", check=False).stdout.decode().strip() != self._here:
            return
        top = Path(self._git("rev-parse", "--show-toplevel").stdout.decode().strip())
        changed = sorted(self.between(before, now))
        bring: list[str] = []
        remove: list[str] = []
        for path in changed:
            old, new = self.read(before, path), self.read(now, path)
            there = (top / path).read_bytes() if (top / path).is_file() else None
            if there in (new, old):
                (remove if new is None else bring).append(path)
        if bring:
            self._git("checkout", "--quiet", now, "--", *bring, cwd=top)
        for path in remove:
            self._git("rm", "--quiet", "--force", "--ignore-unmatch", "--", path, cwd=top)

    def _said(self, done: "subprocess.CompletedProcess[bytes]") -> str:
        """Git's own words; of a push, what it says of a branch is on the standard output. An address is shown without the account in it."""
        text = " ".join((done.stdout + b" " + done.stderr).decode(errors="replace").split())
        return (text.replace(self.remote, _shown(self.remote)) if self.remote else text)[:400]

    def _mine(self, tree: Path) -> dict[str, str]:
        return {"GIT_INDEX_FILE": str(tree.parent / "index"), "GIT_WORK_TREE": str(tree)}

    def _identity(self) -> dict[str, str]:
        """A person's, where Git knows one; this program's otherwise."""
        known = self._git("config", "user.email", check=False).stdout.strip() and self._git("config", "user.name", check=False).stdout.strip()
        return {} if known else _PROGRAM

    def _git(
        self, *words: str, check: bool = True, env: Mapping[str, str] | None = None, send: bytes = b"", cwd: Path | None = None
    ) -> "subprocess.CompletedProcess[bytes]":  # fmt: skip
        directory = self.root / ".git"
        where = ["--git-dir", str(directory if directory.exists() else self.root)] if env and "GIT_WORK_TREE" in env else []
        command = ["git", *where, *words]
        inherited = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
        environment = {**inherited, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(env or {})}
        try:
            done = subprocess.run(command, cwd=cwd or self.root, env=environment, input=send, capture_output=True, check=False, timeout=_SECONDS)
        except FileNotFoundError as error:
            missing = "git is not installed. Install it" if error.filename == "git" else f"{self.root}: no such folder. Name a repository"
            raise InputError(f"{missing}.") from None
        except subprocess.TimeoutExpired:
            raise StateError(f"git {words[0]} in {self.root} takes longer than {_SECONDS:.0f} s. Look whether something else holds the repository.") from None
        if check and done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise StateError(f"git {words[0]} in {self.root}: {said[:400]}. Mend the repository, then run again.")
        return done


def _shown(remote: str) -> str:
    """An address without the account in it."""
    parts = urlsplit(remote)
    return remote if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def branch_of(root: Path) -> str:
    """The branch that a repository has checked out (a bare one: its HEAD). Raises InputError where it has none."""
    found = Repository(root, "HEAD")._git("symbolic-ref", "--quiet", "--short", "HEAD", check=False)
    if found.returncode:
        raise InputError(f"{root} is no repository with a branch checked out. Name one: --branch, --repository.")
    return found.stdout.decode().strip()
