"""What `presage audit trace` says of one prediction: a fact with its source, or that it is missing, and why.

Nothing here is computed from a guess: a part that could not be read is None, and `missing` says which, why, and where to look.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

Part = Literal["answer", "inputs", "release", "origin", "run", "evaluation", "card", "standing", "commits", "policies", "approvals", "audit", "others"]


class Missing(msgspec.Struct, frozen=True):
    """A fact that is not there. part: of the page; what: the fact; because: why it is not known."""

    part: Part
    what: str
    because: str


class Reason(msgspec.Struct, frozen=True):
    """How much a feature moved the risk."""

    feature: str
    contribution: float


class Input(msgspec.Struct, frozen=True):
    """values: one; of a metric's history one a tick, oldest first. null: missing, or masked on its way into the log."""

    name: str
    values: list[float | None]


class Answer(msgspec.Struct, frozen=True):
    """As it was logged. release: digest of the release's document; used: id of the member that scored, empty where none did; shadow_of: the prediction
    that it shadows, empty where it answered a caller; opened: plain, opened by the subject's key, or sealed."""

    prediction_id: str
    time: datetime
    model: str
    version: str
    release: str
    region: str
    endpoint: str
    caller: str | None
    caller_id: str | None
    context: dict[str, str]
    server: str | None
    feature_version: str | None
    feature_time: datetime | None
    rung: str
    because: str | None
    used: str
    score: float | None
    risk: float
    low: float
    high: float
    tier: str
    warming: bool
    clipped: int
    distance: float | None
    doubts: list[str]
    reasons: list[Reason]
    trace_id: str | None
    shadow_of: str
    subject: str | None
    opened: Literal["plain", "opened", "sealed"]
    source: str


class Inputs(msgspec.Struct, frozen=True):
    """What it was decided on. kind: features that were looked up, or the row that the caller gave; history: of a looked-up row."""

    kind: Literal["looked up", "given"]
    values: list[Input]
    history: list[Input]
    source: str


class Member(msgspec.Struct, frozen=True):
    """One model of a release. package: digest of its manifest; answered: whether it scored this answer."""

    role: str
    model: str
    family: str
    package: str
    answered: bool


class Release(msgspec.Struct, frozen=True):
    """key, signer: who signed it, and as whom that key is trusted here (null: it is not); refused: why its documents do not pass, null where they do.
    differs: keys of the model policy in it that the policy in Git at the answer's time has otherwise; null where there is none to compare."""

    uri: str
    created: str
    tier: str
    contract: str
    key: str
    signer: str | None
    refused: str | None
    sealed: bool
    ladder: list[str]
    thresholds: dict[str, float]
    members: list[Member]
    differs: list[str] | None
    source: str


class Origin(msgspec.Struct, frozen=True):
    """Where the package comes from that is told about (the one that scored; the primary where none did), by its signed lineage.json. digest: of the
    data snapshot; code, lock: digests of what computed it."""

    package: str
    pipeline: str | None
    run: str | None
    created: str | None
    seed: int | None
    data: str | None
    digest: str | None
    code: str | None
    lock: str | None
    view: str | None
    view_version: str | None
    policy: str | None
    policy_digest: str | None
    source: str


class TrainingRun(msgspec.Struct, frozen=True):
    """What the run left behind in this state. commit: of the code, as its events say; changed: whether files that run then differed from the commit;
    snapshot: whether its events name the data snapshot that the package names; registry, registry_run: MLflow's store and run."""

    run: str
    status: str
    commit: str | None
    changed: bool | None
    snapshot: bool | None
    registry: str | None
    registry_run: str | None
    registry_version: str | None
    source: str


class Evaluation(msgspec.Struct, frozen=True):
    """metrics.json of the package, whole."""

    metrics: dict[str, Any]
    digest: str
    source: str


class Card(msgspec.Struct, frozen=True):
    """The model card, whole."""

    text: str
    digest: str
    source: str


class Commit(msgspec.Struct, frozen=True):
    """at: when it was committed."""

    id: str
    at: datetime
    author: str
    subject: str


class Stood(msgspec.Struct, frozen=True):
    """What an application in Git had this release for, at the answer's time. percent: of the requests, of a canary; fits: whether the log agrees, which
    knows if an answer was a shadow's; since: the commit, null where a shallow copy does not reach it."""

    overlay: str
    application: str
    model: str
    role: Literal["stable", "canary", "shadow"]
    percent: int | None
    fits: bool
    since: Commit | None


class Record(msgspec.Struct, frozen=True):
    """A signed step record. key, signer: who signed it, and as whom that is trusted here (null: it is not); tier: that it was judged under."""

    path: str
    step: str
    because: str
    at: str
    tier: str
    key: str
    signer: str | None
    refused: str | None


class Change(msgspec.Struct, frozen=True):
    """A commit that changed what an application has this release for. before, after: in words, empty: nothing."""

    kind: Literal["brought", "changed", "took away"]
    overlay: str
    application: str
    model: str
    before: str
    after: str
    commit: Commit
    records: list[Record]


class PolicyLine(msgspec.Struct, frozen=True):
    """One line that applied, as the commit has it. means: what follows from it for this answer."""

    rule: str
    file: str
    line: int
    text: str
    means: str


class Policies(msgspec.Struct, frozen=True):
    """commit: whose files these are: the last one of the branch at the answer's time."""

    commit: Commit
    lines: list[PolicyLine]


class Approval(msgspec.Struct, frozen=True):
    """One signed statement about the release. refused: why it does not count, null where it does; commit: that brought it."""

    approver: str
    role: str
    issued: str
    expires: str
    refused: str | None
    commit: Commit | None
    source: str


class Approvals(msgspec.Struct, frozen=True):
    """At the answer's time, by the policies of that time. roles, people: what the tier asks for; lacking: what it asks for and did not have, null where
    nothing lacks."""

    tier: str
    roles: list[str]
    people: int
    given: list[Approval]
    lacking: str | None
    source: str


class AuditEntry(msgspec.Struct, frozen=True):
    """An entry of the audit log about the release."""

    n: int
    at: str
    kind: str
    subject: str
    facts: dict[str, str | int | float | bool | None]


class Audit(msgspec.Struct, frozen=True):
    """good: whether the log verifies by the key beside it; null where there is no key; finding: the first thing that is wrong."""

    good: bool | None
    finding: str
    entries: list[AuditEntry]
    source: str


class Count(msgspec.Struct, frozen=True):
    tier: str
    decisions: int


class Others(msgspec.Struct, frozen=True):
    """What else the release decided, by the prediction log: answers by tier, and answers that reached nobody. command: that shows them one by one."""

    decisions: int
    tiers: list[Count]
    shadows: int
    command: str
    source: str


class Trace(msgspec.Struct, frozen=True):
    """One prediction and all that was behind it. repository, branch: where Git's facts are from; null where there is none."""

    prediction_id: str
    traced: datetime
    repository: str | None
    branch: str | None
    answer: Answer
    inputs: Inputs | None
    release: Release | None
    origin: Origin | None
    run: TrainingRun | None
    evaluation: Evaluation | None
    card: Card | None
    standing: list[Stood]
    commits: list[Change]
    policies: Policies | None
    approvals: Approvals | None
    audit: Audit | None
    others: Others | None
    missing: list[Missing]
