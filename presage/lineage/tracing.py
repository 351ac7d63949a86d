"""One prediction traced to everything behind it: each part read from where it was kept, or missing with the reason.

    found = trace(prediction_id, log=folder, state=state, store=store, trust=trust, repository=root, branch=None, now=datetime.now(UTC))
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from presage.errors import PresageError
from presage.governance.repository import Policies as Governed
from presage.lineage.answer import read_answer, read_others
from presage.lineage.approvals import read_approvals
from presage.lineage.audited import read_audit
from presage.lineage.history import History
from presage.lineage.packages import Packaged, read_packaged
from presage.lineage.page import Answer, Approvals, Audit, Change, Commit, Missing, Part, Policies, PolicyLine, Stood, Trace
from presage.lineage.policies import REVOCATIONS, differing, read_lines, revoked_since
from presage.lineage.runs import read_run
from presage.lineage.standing import read_standing_of
from presage.package.approvals import Subject
from presage.package.keys import Trust
from presage.package.store import ReleaseStore
from presage.release.repository import branch_of
from presage.state import State


def trace(
    prediction_id: str, *, log: Path, state: State, store: ReleaseStore, trust: Trust | None, repository: Path | None, branch: str | None, now: datetime,
    subject_keys: Path | None = None,
) -> Trace:  # fmt: skip
    """repository: a checkout or a bare repository, None where there is none. branch: default: the one that is checked out. now: of the trace itself.

    Raises InputError where the log has no such decision; whatever else is not there is told in `missing`.
    """
    answer, inputs, missing = read_answer(log, prediction_id, subject_keys or _keys_of(state))
    with ThreadPoolExecutor(1) as beside:  # it waits for a process of its own
        counted = beside.submit(read_others, log, answer.release)
        packaged = read_packaged(answer, store, trust)
        missing += packaged.missing
        run = None
        if packaged.origin is not None:
            run, gone = read_run(state, packaged.origin, answer.model)
            missing += gone
        git = _Git.read(repository, branch, answer, packaged, trust)
        audit, gone = read_audit(state, answer, packaged.packages)
        others, none = counted.result()
    release = packaged.release
    if release is not None:
        release = msgspec.structs.replace(release, differs=git.differs)
    return Trace(
        prediction_id=answer.prediction_id, traced=now, repository=str(repository) if git.history else None, branch=git.history.branch if git.history else None,
        answer=answer, inputs=inputs, release=release, origin=packaged.origin, run=run, evaluation=packaged.evaluation, card=packaged.card,
        standing=git.standing, commits=git.commits, policies=git.policies, approvals=git.approvals, audit=audit, others=others,
        missing=[*missing, *git.missing, *gone, *none, *git.unknown(audit)],
    )  # fmt: skip


def _keys_of(state: State) -> Path | None:
    """The state's own keys of subjects; None where the environment names others."""
    return None if "PRESAGE_SUBJECT_KEYS" in os.environ else state.keys / "subjects.db"


@dataclass
class _Git:
    """What Git says, as far as it says something."""

    history: History | None = None
    standing: list[Stood] = field(default_factory=list)
    commits: list[Change] = field(default_factory=list)
    policies: Policies | None = None
    approvals: Approvals | None = None
    differs: list[str] | None = None
    missing: list[Missing] = field(default_factory=list)

    @classmethod
    def read(cls, repository: Path | None, branch: str | None, answer: Answer, packaged: Packaged, trust: Trust | None) -> "_Git":
        found = cls()
        if repository is None:
            return found._without("no Git repository was named, and none is here; --repository names one")
        try:
            history = History(repository, branch or branch_of(repository))
            history.head()
        except PresageError as error:
            return found._without(error.message)
        found.history = history
        try:
            found._read(history, answer, packaged, trust)
        except PresageError as error:
            known = {"standing": found.standing, "commits": found.commits, "policies": found.policies, "approvals": found.approvals}
            found._lost(error.message, *(part for part in _TOLD if not known[part]))
        return found

    def unknown(self, audit: Audit | None) -> list[Missing]:
        """Commits that the audit log names and the branch does not have: it is another branch, or it was written anew."""
        if audit is None or self.history is None or self.history.shallow():
            return []
        head, missing = self.history.head(), []
        for entry in audit.entries:
            commit = entry.facts.get("commit") if entry.kind == "released" else None
            if isinstance(commit, str) and not (_COMMIT.fullmatch(commit) and self.history.contains(head, commit)):
                because = f"entry {entry.n} of the audit log names it, and {self.history.branch} does not have it: another branch, or it was written anew"
                missing.append(Missing("commits", f"commit {commit[:40]} ({entry.facts.get('step')})", because))
        return missing

    def _read(self, history: History, answer: Answer, packaged: Packaged, trust: Trust | None) -> None:
        commit = history.at(answer.time)
        shallow = history.shallow()
        if commit is None:
            first = history.first()
            because = f"the first commit of {history.branch} that is here, {first.id[:12]}, is from {first.at.isoformat()}, after the answer"
            remedy = _DEEPEN if shallow else "name the repository and the branch that it ran from: --repository, --branch"
            self._lost(f"{because}; {remedy}", "standing", "policies", "approvals")
        self.standing, self.commits, missing = read_standing_of(history, answer, commit, trust)
        self.missing += missing
        if shallow:
            first = history.first()
            because = f"this repository is a shallow copy, which begins at {first.id[:12]} of {first.at.isoformat()}; {_DEEPEN}"
            self.missing.append(Missing("commits", "what was done before that", because))
        if commit is not None:
            self._govern(history, commit, answer, packaged)

    def _govern(self, history: History, commit: Commit, answer: Answer, packaged: Packaged) -> None:
        with history.tree(commit.id) as tree:
            try:
                policies = Governed.read(tree)
            except PresageError as error:
                self._lost(f"the policies of {commit.id[:12]} cannot be read: {error.message}".replace(f"{tree}/", ""), "policies", "approvals")
                return
            digests = {answer.release, *packaged.packages}
            lines, missing = read_lines(tree, policies, answer, self.standing, digests)
        self.policies = Policies(commit, [*lines, *self._revoked_since(history, policies, digests)])
        self.missing += missing
        model = policies.releases.get(answer.model)
        if model is not None and packaged.document is not None:
            self.differs = differing(model, packaged.document.policy)
        if packaged.subject is None and model is None:
            self._lost("neither the release nor a policy says which tier it has", "approvals")
            return
        subject = packaged.subject or Subject(f"{answer.model}:{answer.version}", answer.release, model.risk_tier if model else "")
        self.approvals, missing = read_approvals(policies, subject, history, commit, answer.time)
        self.missing += missing

    def _revoked_since(self, history: History, then: Governed, digests: set[str]) -> list[PolicyLine]:
        head = history.head()
        content = history.read(head, REVOCATIONS)
        known = {entry.digest for entry in then.revoked.revoked}
        try:
            return [] if content is None else revoked_since(content, history.named(head), digests - known)
        except PresageError as error:
            self.missing.append(Missing("policies", "whether it was revoked since", error.message))
            return []

    def _without(self, because: str) -> "_Git":
        self._lost(because)
        return self

    def _lost(self, because: str, *parts: Part) -> None:
        for part in parts or tuple(_TOLD):
            self.missing.append(Missing(part, _TOLD[part], because))


_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DEEPEN = "fetch the rest: git fetch --unshallow"
_TOLD: dict[Part, str] = {
    "standing": "whether it was stable, a canary or a shadow", "commits": "the commits that brought it and took it away",
    "policies": "the policy lines that applied", "approvals": "who approved it",
}  # fmt: skip
