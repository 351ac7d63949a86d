"""A small world in which one prediction can be traced: a trained release raised to tier high, approved by two people, on its way by signed commits,
and answers of a real server in a real prediction log.

    20 h ago   the first release serves both domains
    10 h ago   incident:2 is approved: the approvals are committed
     5 h ago   incident:2 gets 5 percent in models-network, and is asked as a shadow
    now        the server answers
    in 1 h     incident:2 gets 10 percent
    in 2 h     it is taken back
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import numpy as np
import polars as pl
import pytest
from builders.approvals import change_yaml, new_key
from builders.repositories import Checkout, checkout

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import _fill_online
from presage.features.history import histories
from presage.files import read_json, write_bytes
from presage.governance.access.limits import client_limits
from presage.governance.approving import approve
from presage.governance.audit import AuditLog, record_refusal
from presage.governance.repository import Policies
from presage.lineage import Trace, trace
from presage.package.approvals import RULES
from presage.package.composing import compose_release
from presage.package.gate import admit
from presage.package.keys import SigningKey, Trust, read_key
from presage.package.store import Published, ReleaseStore
from presage.prediction_log import ask
from presage.release.audited import told
from presage.release.plan import advance, revert, start
from presage.release.standing import Place
from presage.release.steps import Releasing
from presage.state import State

PLACE = Place("production", "models-network", "incident")
PEOPLE = {"risk-officer": "model-risk", "auditor": "compliance"}
CALLER = "spiffe://cluster.local/ns/shop/sa/checkout"
UNPUBLISHED = "presage://incident:0@unresolved"
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202etxt"
"""A request's own id, as a caller may write it; the last answer has it."""
REVERTED = "fails more often than the stable release"


@dataclass(frozen=True)
class Traced:
    """state: with store, runs, prediction log, audit log. here: the repository. first, second: releases; answers: by name, then of a given row, without
    the one that was asked under HOSTILE; commits: by what they did; author, judge: who signed the second release and its steps."""

    state: State
    here: Checkout
    first: str
    second: Published
    answers: list[dict[str, Any]]
    commits: dict[str, str]
    author: SigningKey
    judge: SigningKey
    now: datetime

    @property
    def log(self) -> Path:
        return self.state.root / "predictions"

    def presage(self, *arguments: object, code: int = 0, here: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """The command line over this state, in a process of its own. here: the repository; default: this one's."""
        words = [*map(str, arguments), *(("--repository", str(here or self.here.root)) if arguments[:2] == ("audit", "trace") else ())]
        environment = {**os.environ, "PRESAGE_STATE": str(self.state.root), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-m", "presage.cli", *words], capture_output=True, text=True, check=False, env=environment, timeout=120)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr}"
        return done

    def trace(self, prediction_id: str, **changes: Any) -> Trace:
        """In this process. changes: of what the command would give."""
        given: dict[str, Any] = {
            "log": self.log, "state": self.state, "store": ReleaseStore(self.state.releases), "trust": Trust.open(self.state.keys),
            "repository": self.here.root, "branch": None, "now": self.now,
        }  # fmt: skip
        if "log" in changes:
            return trace(prediction_id, **{**given, **changes})
        with patch("presage.lineage.answer.ask", _asked):  # this log does not change, so each question is put to it once
            return trace(prediction_id, **{**given, **changes})

    @property
    def digest(self) -> str:
        return str(self.second.reference.digest)


@cache
def _asked(command: str, **options: Any) -> dict[str, Any]:
    return ask(command, **options)


@dataclass(frozen=True)
class _Served:
    """What ServerProcess needs to know."""

    model_dir: Path
    trust_keys: Path
    online_store: Path


def traced(root: Path, trained: State) -> Traced:
    """trained: read, and copied as far as it is needed."""
    now = datetime.now(UTC).replace(microsecond=0)
    state = State.open(root / "state")
    for name in ("releases", "keys", "runs"):
        shutil.copytree(trained.root / name, state.root / name)
    author, judge = new_key(root / "keys" / "author.key"), new_key(root / "keys" / "judge.key")
    for key in (author, judge):
        write_bytes(state.keys / f"{key.path.stem}.pub", key.public.pem)
    with pytest.MonkeyPatch.context() as patched:
        return _World(root, state, author, judge, now, patched).make()


@dataclass
class _World:
    root: Path
    state: State
    author: SigningKey
    judge: SigningKey
    now: datetime
    patched: pytest.MonkeyPatch
    commits: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trust, self.store = Trust.open(self.state.keys), ReleaseStore(self.state.releases)

    def make(self) -> Traced:
        first = str(self.store.latest("incident"))
        here = self._repository(first)
        second = self._released(here)
        self._approved(here, second)
        self._step(here, second, "start", -timedelta(hours=5))
        self._refused(second)
        answers = self._answers(here, second)
        self._step(here, second, "raise", timedelta(hours=1))
        self._step(here, second, "revert", timedelta(hours=2))
        return Traced(self.state, here, first, second, answers, self.commits, self.author, self.judge, self.now)

    def _at(self, moment: datetime) -> None:
        """What Git writes as the date of a commit from now on."""
        for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
            self.patched.setenv(name, moment.isoformat())

    def _repository(self, first: str) -> Checkout:
        self._at(self.now - timedelta(hours=30))
        here = checkout(self.root / "repository", "production")
        keys = {name: new_key(self.root / "people" / f"{name}.key") for name in PEOPLE}
        people = [{"id": name, "roles": [role], "key": keys[name].public.pem.decode()} for name, role in PEOPLE.items()]
        change_yaml(here.root / "policies" / "approvals.yaml", lambda document: document.update(people=people))
        high = {"risk_tier": "high", "journal": "disk", "explanation": "always"}
        change_yaml(here.root / "policies" / "models" / "incident.yaml", lambda document: document.update(high))
        for folder in ("models-network", "models-databases"):
            for place in (f"overlays/production/{folder}/release.yaml", f"rendered/production/{folder}/manifest.yaml"):
                here.replace(f"manifests/{place}", UNPUBLISHED, first)
        self._at(self.now - timedelta(hours=20))
        self.commits["first"] = here.commit("the first release serves")
        return here

    def _released(self, here: Checkout) -> Published:
        policy = Policies.read(here.root).models["incident"]
        return compose_release("incident", {"primary": "incident"}, self.store, policy, self.author, trust=self.trust)

    def _approved(self, here: Checkout, second: Published) -> None:
        at = self.now - timedelta(hours=10)
        audit = AuditLog.open(self.state.root / "audit")
        for person, role in PEOPLE.items():
            signer = read_key(self.root / "people" / f"{person}.key")
            made = approve(here.root, second.reference, self.store, self.trust, role=role, signer=signer, now=at)
            facts = {"release": made.subject.name, "digest": made.subject.digest, "role": role, "approver": person, "expires": made.approval.expires}
            audit.append("approved", made.subject.name, facts, at=at)
        self._at(at)
        self.commits["approvals"] = here.commit("incident:2 is approved")

    def _step(self, here: Checkout, second: Published, name: str, after: timedelta) -> None:
        releasing = Releasing(here.repository, PLACE, self.judge, self.trust, told=told(self.state))
        self._at(self.now + after)
        while True:
            situation = releasing.read()
            match name:
                case "start":
                    change = start(situation.standing, second.uri, situation.rules)
                case "raise":
                    change = advance(situation.standing, situation.rules, 3, situation.original)
                    assert change is not None
                case _:
                    change = revert(situation.standing, situation.original)
            taken = releasing.take(situation, change, self.now + after, because=REVERTED if name == "revert" else "")
            if taken.step == name:  # a raise is prepared first
                self.commits[name] = taken.commit
                return

    def _refused(self, second: Published) -> None:
        at = self.now - timedelta(hours=4)
        facts = {"reason": "approval", "uri": second.uri, "because": "no approvals were mounted"}
        assert record_refusal(self.state.root / "audit", "gate-refused", "incident:2", facts, at=at)

    def _answers(self, here: Checkout, second: Published) -> list[dict[str, Any]]:
        """Of a server that the gate let the release into, approvals and client limits as the policies compile them."""
        approvals = Policies.read(here.root).approvals
        mounted = self.root / "approvals"
        write_bytes(mounted / RULES, approvals.rules.to_json().encode())
        for name, content in approvals.statements.items():
            write_bytes(mounted / name, content)
        limits = self.root / "limits.json"
        write_bytes(limits, _limits(here))
        release = admit(second.uri, self.root / "models", self.store, self.trust, approvals=approvals)
        servers = self._online(release.primary.contract.view)
        site = _Served(self.root / "models", self.state.keys, self.root / "online.db")
        flags = (f"--approvals={mounted}", "--client_identity=xfcc", f"--client_limits={limits}", f"--prediction_log={self.state.root / 'predictions'}")
        names = [field.name for field in release.primary.contract.inputs]
        checked = f"By=spiffe://cluster.local/ns/models-network/sa/incident;Hash={'0f' * 32};URI={CALLER}"
        header = {"x-forwarded-client-cert": checked, "x-request-id": "order-4711"}
        with ServerProcess(site, self.root / "server", *flags) as server, httpx2.Client(base_url=server.address, timeout=60, headers=header) as client:
            found = client.post("/predict", json={"servers": servers, "explain": True}).raise_for_status().json()["predictions"]
            row = dict.fromkeys(names[:40], 0.5)
            found += client.post("/predict", json={"rows": [row], "explain": True}).raise_for_status().json()["predictions"]
            given = {"id": HOSTILE, "inputs": [{"name": "server", "datatype": "BYTES", "shape": [1], "data": servers[:1]}]}
            client.post("/v2/models/incident/infer", json=given).raise_for_status()
        return found

    def _online(self, bound: Any) -> list[str]:
        """The newest rows of the training run, as the stream would have written them."""
        folder = next(iter(self.state.runs.glob("*/result.json"))).parent
        features = folder / read_json(folder / "result.json")["artifacts"]["features"]
        rows = pl.read_parquet(features / "rows.parquet").filter(~pl.col("warming")).sort("time").group_by("entity", maintain_order=True).last().sort("entity")
        history = histories(bound, pl.read_parquet(features / "ticks.parquet"), rows.select("entity", "time"))
        times = rows["time"].dt.epoch("us").to_numpy() / 1e6
        _fill_online(self.root / "online.db", bound, rows, values=rows.select(bound.names).to_numpy().astype(np.float32), history=history, times=times)
        return rows["entity"].to_list()


def _limits(here: Checkout) -> bytes:
    """How often each client may ask, as the access policy of the checkout compiles it for the domain."""
    found = next(one for one in client_limits(Policies.read(here.root).access) if one.manifest["metadata"]["namespace"] == PLACE.application)
    text: str = found.manifest["data"]["limits.json"]
    return text.encode()
