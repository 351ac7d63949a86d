"""Which applications of a commit are taken: pure.

    settle(wanted, applied, make)      # make(texts) -> Plan, or PresageError where these texts cannot be run together

The application `policies` comes first, and what it then holds judges the others: each object that is new, changed or gone, as Argo CD would ask for it. One
application's refusal or fault leaves the others alone. There are no other waves: on the plane a Pod waits by itself for what it needs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TypeVar

import orjson

from presage.errors import InputError, PresageError
from presage.files import canonical_json
from presage.local.record import Plan
from presage.manifests.admission import AdmissionPolicies, Operation
from presage.manifests.objects import Manifest, group, label, parse_objects

POLICIES = "policies"
USER = "system:serviceaccount:argocd:argocd-application-controller"
"""Who applies: policies may look at it."""
_JUDGING = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
_FAULTS = (TypeError, AttributeError, KeyError, ValueError, IndexError)
Answer = TypeVar("Answer")
Texts = Mapping[str, bytes]
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Settled:
    """taken: application → the YAML that shall run; plan: made of it (None: nothing changes).

    refused, failed: application → why its new YAML does not run. What it had before stays in `taken`.
    """

    taken: dict[str, bytes]
    plan: Plan | None = None
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def make_ready(applied: Texts) -> None:
    """Compile what judges now, so that the first commit need not wait for it. Raises InputError where it is no good."""
    _in_force({}, {name: _objects(text, name) for name, text in applied.items()})


def settle(wanted: Texts, applied: Texts, make: Callable[[Texts], Plan], *, again: bool = False) -> Settled:
    """wanted: of the commit; applied: what was taken before; an application that the commit has no more is to go. again: make a plan whatever changed.

    Raises PresageError only where not even what was taken before can be read, or (again) be run.
    """
    refused: dict[str, str] = {}
    failed: dict[str, str] = {}
    admitted = _admitted(wanted, applied, refused, failed)
    taken = dict(applied)
    if not admitted and not again:
        return Settled(taken, None, refused, failed)
    plan, taken = _together(admitted, taken, make, failed)
    if POLICIES in admitted and POLICIES in failed:  # then the others are judged by those that stay in force
        kept = {POLICIES: applied[POLICIES]} if POLICIES in applied else {}
        others = settle({name: text for name, text in wanted.items() if name != POLICIES} | kept, applied, make, again=again)
        return Settled(others.taken, others.plan, others.refused, others.failed | {POLICIES: failed[POLICIES]})
    if plan is None and again:
        plan = _planned(taken, make)
    return Settled(taken, plan, refused, failed)


def _admitted(wanted: Texts, applied: Texts, refused: dict[str, str], failed: dict[str, str]) -> dict[str, bytes | None]:
    """What changes and is not refused: application → YAML (None: it goes)."""
    found: dict[str, bytes | None] = {}
    known: dict[str, list[Manifest]] = {}
    for name in sorted({*wanted, *applied}):
        if wanted.get(name) != applied.get(name):
            try:
                known[name] = _objects(wanted.get(name, b""), name)
                if name in wanted and not known[name]:
                    raise InputError(f"{name} holds no object, and what it ran is not taken away for that. To remove it remove its folder.")
                found[name] = wanted.get(name)
            except PresageError as error:
                failed[name] = error.message
    before = {name: _objects(text, name) for name, text in applied.items()}
    try:
        policies = _in_force(known if POLICIES in found else {}, before)
    except InputError as error:
        failed[POLICIES] = error.message
        found.pop(POLICIES, None)
        policies = _in_force({}, before)
    namespaces = {one["metadata"]["name"]: one for objects in (*before.values(), *known.values()) for one in objects if one["kind"] == "Namespace"}
    for name in [name for name in found if name != POLICIES]:
        try:
            said = _guarded(name, partial(_refusals, policies, known[name], before.get(name, []), namespaces))
        except InputError as error:
            failed[name] = error.message
            del found[name]
            continue
        if said:
            refused[name] = " ".join(said)
            del found[name]
    return found


def _in_force(now: Mapping[str, list[Manifest]], before: Mapping[str, list[Manifest]]) -> AdmissionPolicies:
    """The policies that judge: those of this commit's application `policies`, or, where it has none of its own, of what was applied. Raises InputError.

    Compiling takes a tenth of a second a policy, and most commits change none.
    """
    objects = [*now.get(POLICIES, before.get(POLICIES, [])), *(one for name, found in before.items() if name != POLICIES for one in found)]
    judging = [one for one in objects if one["kind"] in _JUDGING]
    return _guarded(POLICIES, lambda: _compiled(canonical_json(judging)))


@lru_cache(4)
def _compiled(objects: bytes) -> AdmissionPolicies:
    return AdmissionPolicies.of(orjson.loads(objects))


def _refusals(policies: AdmissionPolicies, now: list[Manifest], before: list[Manifest], namespaces: Mapping[str, Manifest]) -> list[str]:
    old, new = {_key(one): one for one in before}, {_key(one): one for one in now}
    said = []
    for key in [*new, *(key for key in old if key not in new)]:
        one, was = new.get(key), old.get(key)
        if one != was:
            operation: Operation = "DELETE" if one is None else "CREATE" if was is None else "UPDATE"
            subject = one or was
            assert subject is not None
            around = namespaces.get(str(subject["metadata"].get("namespace")))
            for refusal in policies.judge(one, was, operation, around, user=USER):
                said.append(f"{label(subject)}: {str(refusal).rstrip('.')}.")
    return said


def _together(
    changes: dict[str, bytes | None], taken: dict[str, bytes], make: Callable[[Texts], Plan], failed: dict[str, str]
) -> tuple[Plan | None, dict[str, bytes]]:
    """All changes at once where that can be run; else as many as can, each with those before it; the others stay as they were."""
    def with_(names: list[str], base: dict[str, bytes]) -> dict[str, bytes]:
        texts = {name: text for name, text in base.items() if name not in names}
        return texts | {name: text for name in names if (text := changes[name]) is not None}

    pending = sorted(changes, key=lambda name: (name != POLICIES, name))
    try:
        everything = with_(pending, taken)
        return _planned(everything, make), everything
    except PresageError as error:
        reasons = dict.fromkeys(pending, error.message)
    plan: Plan | None = None
    if len(pending) > 1:
        progress = True
        while progress and pending:
            progress = False
            for names in [*([name] for name in pending), pending]:
                try:
                    texts = with_(names, taken)
                    plan, taken = _planned(texts, make), texts
                except PresageError as error:
                    reasons |= dict.fromkeys(names, error.message) if len(names) == 1 else {}
                    continue
                pending = [name for name in pending if name not in names]
                progress = True
                break
    failed |= {name: reasons[name] for name in pending}
    return plan, taken


def _guarded(name: str, call: Callable[[], Answer]) -> Answer:
    """What an application's own YAML makes impossible is its fault alone, and a sentence: its objects were checked for nothing but kind and name."""
    try:
        return call()
    except _FAULTS as error:
        raise InputError(f"{name}: an object of it is not formed as its kind is ({type(error).__name__}: {error}). `presage verify` says which.") from error


def _planned(texts: Texts, make: Callable[[Texts], Plan]) -> Plan:
    holder: dict[Key, str] = {}
    for name in sorted(texts):
        for one in _objects(texts[name], name):
            if (other := holder.setdefault(_key(one), name)) != name:
                raise InputError(f"{label(one)} is in the applications {other} and {name}, and one would take it from the other. Keep it in one of them.")
    return _guarded("the applications", lambda: make(texts))


def _objects(text: bytes, name: str) -> list[Manifest]:
    try:
        return parse_objects(text.decode(), name) if text else []
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: no UTF-8 text ({error.reason} at byte {error.start}). Commit what `presage manifests render` writes.") from None


def _key(found: Manifest) -> Key:
    return group(found), found["kind"], str(found["metadata"].get("namespace", "")), str(found["metadata"]["name"])
