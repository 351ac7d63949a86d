"""What all chapters act on: a folder with a repository, a state directory with a trained model, and the plane that follows the repository's branch.

    folder/
        repository/    bare: policies and manifests of this checkout, and what the demonstration commits
        people/        the approver's key
        state/         what `presage --state` names: releases, keys, logs, the plane
"""

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from presage.documents import read_commented, write_commented
from presage.files import write_bytes
from presage.governance.approving import approve
from presage.governance.audit import AuditLog
from presage.governance.compiling import compile_policies, write_files
from presage.governance.model_policy import ModelPolicy, load_model_policy
from presage.local import down, up
from presage.local.overview import Followed, Status, status
from presage.manifests.render import overlays, render_overlay, write_rendered
from presage.package.keys import SigningKey, Trust, local_key, read_key
from presage.package.reference import Reference
from presage.package.store import ReleaseStore
from presage.release.audited import told
from presage.release.repository import Repository
from presage.release.standing import Place
from presage.release.steps import Releasing
from presage.runs import Run, run
from presage.state import State

ROOT = Path(__file__).parents[1]
PLACE = Place("local", "models-network", "incident")
ROLE, APPROVER = "model-risk", "risk-officer"
SOAK = {"percent": 5, "soak": "10s"}, {"percent": 50, "soak": "10s"}, {"percent": 100, "soak": "10s"}


@dataclass(frozen=True)
class Scale:
    """How much of everything. families: which are trained: of trees, whose answers have reasons; budget: seconds each; speed: of the telemetry, times
    real time."""

    source: str
    families: tuple[str, ...] = ("lightgbm",)
    budget: int = 10
    speed: float = 60.0


WHOLE = Scale("simulated:servers=12,days=10,seed=7,incidents=8")
FAST = Scale("simulated:servers=6,days=6,seed=7,incidents=4")


@dataclass
class Stage:
    """scale: how much. The plane is `up` only inside `with`."""

    folder: Path
    scale: Scale
    state: State = field(init=False)
    repository: Repository = field(init=False)
    approver: SigningKey = field(init=False)

    @classmethod
    def build(cls, folder: Path, scale: Scale) -> "Stage":
        """folder: empty or absent."""
        stage = cls(folder, scale)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        stage.state = State.open(folder / "state")
        stage.approver = _new_key(folder / "people" / f"{APPROVER}.key")
        stage.repository = _repository(folder / "repository")
        return stage

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        down(self.state)

    @property
    def store(self) -> ReleaseStore:
        return ReleaseStore(self.state.releases)

    @property
    def key(self) -> SigningKey:
        """The pipeline's: it signs releases."""
        return local_key(self.state.keys)

    @property
    def trust(self) -> Trust:
        return Trust.open(self.state.keys)

    @property
    def audit(self) -> AuditLog:
        return AuditLog.open(self.state.root / "audit")

    @property
    def releasing(self) -> Releasing:
        return Releasing(self.repository, PLACE, self.key, told=told(self.state))

    @property
    def policy(self) -> ModelPolicy:
        """The model's, as the branch has it."""
        with self.repository.tree(self.repository.head()) as tree:
            return load_model_policy(tree / "policies" / "models" / "incident.yaml")

    @property
    def status(self) -> Status:
        return status(self.state)

    @property
    def followed(self) -> Followed:
        """What the plane says of the branch it follows."""
        found = self.status.following
        assert found is not None, "the plane follows a branch"
        return found

    def change(self, message: str, edit: Callable[[Path], None], *, compiles: bool = True) -> str:
        """One commit on the branch, as a person makes it; its name. compiles: with all that is compiled and rendered from the policies."""
        head = self.repository.head()
        with self.repository.tree(head) as tree:
            edit(tree)
            if compiles:
                compiled(tree)
            return self.repository.commit(head, tree, message)

    def train(self) -> Run:
        """The whole pipeline over the demonstration's fleet; its release lies in the state's store."""
        with self.repository.tree(self.repository.head()) as tree:
            return run("incident-training", source=self.scale.source, families=self.scale.families, state=self.state,
                       policy=tree / "policies" / "models" / "incident.yaml", quiet=True)  # fmt: skip

    def approve(self, release: Reference, message: str, edit: Callable[[Path], None] = lambda tree: None) -> str:
        """The approver's signature under a release, committed with what is compiled from it. edit: what else is in that commit."""

        def signed(tree: Path) -> None:
            now = datetime.now(UTC)
            made = approve(tree, release, self.store, self.trust, role=ROLE, signer=self.approver, now=now)
            facts = {"release": made.subject.name, "digest": made.subject.digest, "role": ROLE, "approver": APPROVER, "expires": made.approval.expires}
            self.audit.append("approved", made.subject.name, facts, at=now)
            edit(tree)

        return self.change(message, signed)

    def up(self, say: Callable[[str], None]) -> Status:
        return up(state=self.state, source=self.scale.source, speed=self.scale.speed, follow="main", repository=self.repository.root, say=say)


def compiled(tree: Path) -> None:
    """Everything that is made from policies, and every overlay, as `presage policies render` and `presage manifests render` make them."""
    write_files(tree, compile_policies(tree, datetime.now(UTC)))
    for overlay in overlays(tree / "manifests"):
        write_rendered(tree / "manifests", overlay, render_overlay(tree / "manifests", overlay))


def edited(path: Path, edit: Callable[[Any], None]) -> None:
    """A YAML file with one thing changed and its comments kept."""
    document = read_commented(path.read_text(encoding="utf-8"), str(path))
    edit(document)
    path.write_text(write_commented(document), encoding="utf-8")


def serve(tree: Path, uri: str) -> None:
    """Let overlay local serve this release."""
    edited(tree / PLACE.folder / "release.yaml", lambda document: document["spec"]["predictor"]["model"].update(storageUri=uri))


def rehearsed(scale: Scale, people: Mapping[str, SigningKey]) -> Callable[[Path], None]:
    """The edits that make a demonstration of the policies: soaks of seconds, no freezes, a named approver whom even tier low asks."""

    def edit(tree: Path) -> None:
        folder = tree / "policies"
        persons = [{"id": name, "roles": [ROLE], "key": key.public.pem.decode()} for name, key in people.items()]
        edited(folder / "approvals.yaml", lambda document: document.update(people=persons))
        edited(folder / "rollout.yaml", lambda document: document.update(freezes=[]))
        edited(folder / "risk-tiers.yaml", _low)
        path = folder / "models" / "incident.yaml"
        text, changed = re.subn(r"(?m)^(  [a-z_]+): \d+$", rf"\1: {scale.budget}", path.read_text(encoding="utf-8"))
        assert changed, "the model policy has training budgets"
        path.write_text(text, encoding="utf-8")

    return edit


def _low(document: Any) -> None:
    low = document["tiers"]["low"]
    low["approvals"] = {"roles": [ROLE], "people": 1}
    low["canary"]["steps"] = [dict(step) for step in SOAK]


def _repository(root: Path) -> Repository:
    """A bare one, whose first commit is this checkout's policies and manifests."""
    for words in (["init", "--quiet", "--bare", "--initial-branch", "main", str(root)],
                  ["-C", str(root), "--work-tree", str(ROOT), "add", "--", "policies", "manifests"],
                  ["-C", str(root), "--work-tree", str(ROOT), "-c", "user.name=platform", "-c", "user.email=platform@presage.invalid", "commit", "--quiet",
                   "-m", "policies and manifests, as they are"]):  # fmt: skip
        subprocess.run(["git", *words], check=True, capture_output=True, cwd=ROOT)
    return Repository(root, "main")


def _new_key(path: Path) -> SigningKey:
    private = ec.generate_private_key(ec.SECP256R1())
    write_bytes(path, private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return read_key(path)
