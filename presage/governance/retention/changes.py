"""What a change of policies changes: every compiled object, and what falls due earlier or later, in sentences.

    for change in compiled_changes(before, after, now): change.label, change.sentences        before, after: folders that hold policies/
    for sentence in times(terms_before, terms_after, now): …
    for more in counted(stores, terms_before, terms_after, now): …                            of what lies here
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import orjson

from presage.durations import format_duration
from presage.errors import InputError
from presage.governance.compiling import compile_policies
from presage.governance.retention.deciding import decide
from presage.governance.retention.items import Store, StoreName
from presage.governance.retention.terms import Terms
from presage.governance.tiers import RISK_TIERS
from presage.manifests.objects import label, parse_objects

_LONGEST = 90  # characters of a value in a sentence
_MOST = 20  # sentences about one object


@dataclass(frozen=True)
class Changed:
    """One compiled file. label: of its object (`ConfigMap models-network/retention`), or the file's name; applications: `production/platform`, …:
    which rendered applications bring that object."""

    path: str
    label: str
    how: Literal["added", "removed", "changed"]
    sentences: tuple[str, ...]
    applications: tuple[str, ...]


@dataclass(frozen=True)
class More:
    """Of one store here: things that the new terms make due and the old ones did not, and the other way round."""

    store: StoreName
    due: int
    due_bytes: int
    due_no_more: int


def compiled_changes(before: Path, after: Path, now: datetime) -> list[Changed]:
    """By path. Raises InputError where either's policies are not good."""
    old, new = compile_policies(before, now), compile_policies(after, now)
    rendered = _rendered(after)
    found = []
    for path in sorted(old.keys() | new.keys()):
        was, now_is = old.get(path), new.get(path)
        if was == now_is:
            continue
        how: Literal["added", "removed", "changed"] = "added" if was is None else "removed" if now_is is None else "changed"
        name = _label(path, now_is if now_is is not None else was or "")
        sentences = tuple(_differences(path, was, now_is)) if was is not None and now_is is not None else ()
        more = (f"and {len(sentences) - _MOST} more",) if len(sentences) > _MOST else ()
        found.append(Changed(path, name, how, sentences[:_MOST] + more, tuple(rendered.get(name, ()))))
    return found


def times(before: Terms, after: Terms, now: datetime) -> Iterator[str]:
    """What is kept for another time, rule by rule; holds that begin or end; models whose tier or region is another."""
    regions = ("", *sorted({region for terms in (before, after) for rule in terms.policy.rules for region in rule.in_regions}))
    for rule in after.policy.rules:
        old = before.policy.rule_of(rule.store)
        for region in regions:
            own = region in rule.in_regions or region in old.in_regions
            if region and not own:
                continue
            for tier in RISK_TIERS:
                was, is_now = old.kept(tier, region), rule.kept(tier, region)
                if was != is_now:
                    where = f" that reside in {region}" if region else ""
                    models = [name for name, one in after.models.items() if one.tier == tier and (not region or one.region == region)]
                    yield (
                        f"{rule.id}: {rule.title.lower()} of {tier}-tier models{where} are kept {_days(is_now)}, not {_days(was)}. {_due(was, is_now, now)} "
                        f"{'Models of that tier: ' + ', '.join(models) if models else 'No model has that tier now'}."
                    )
        if rule.keep_last != old.keep_last:
            yield f"{rule.id}: the last {rule.keep_last} of each name stay whatever their age, not the last {old.keep_last}."
    yield from _of_holds(before, after)
    for name in sorted(before.models.keys() | after.models.keys()):
        was_model, model = before.models.get(name), after.models.get(name)
        if was_model != model:
            said = [f"tier {one.tier} in {one.region}" if one else "no policy, so the longest times count" for one in (model, was_model)]
            yield f"{name}: {said[0]}, not {said[1]}."


def counted(stores: Sequence[Store], before: Terms, after: Terms, now: datetime) -> Iterator[More]:
    """One look at each thing, by both. An item's tier is that of the model as each of the terms has it."""
    from dataclasses import replace

    for store in stores:
        due = due_bytes = no_more = 0
        for item in store.items():
            was, is_now = (decide(replace(item, tier=terms.tier(item.model)), terms, now).verdict == "due" for terms in (before, after))
            due += is_now and not was
            due_bytes += item.bytes if is_now and not was else 0
            no_more += was and not is_now
        yield More(store.name, due, due_bytes, no_more)


def _of_holds(before: Terms, after: Terms) -> Iterator[str]:
    old, new = ({hold.id: hold for hold in terms.policy.holds} for terms in (before, after))
    for name, hold in new.items():
        if name not in old:
            yield f"{name}: a hold begins on {hold.from_}: {hold.because}"
        elif hold != old[name]:
            yield f"{name}: the hold is another: {hold.because}"
    for name in old.keys() - new.keys():
        yield f"{name}: the hold is gone; what it kept goes when its rule says."


def _due(was: timedelta, is_now: timedelta, now: datetime) -> str:
    if is_now < was:
        return f"What was written before {now - is_now:%Y-%m-%d} is due now; until this change that was {now - was:%Y-%m-%d}."
    return f"What was written between {now - is_now:%Y-%m-%d} and {now - was:%Y-%m-%d} would be due now, and stays."


def _days(kept: timedelta) -> str:
    return f"{kept.days} day{'s' * (kept.days != 1)}" if kept % timedelta(days=1) == timedelta(0) else format_duration(kept)


def _label(path: str, text: str) -> str:
    """Of the one object in a compiled file; else the path itself."""
    if path.endswith(".yaml"):
        try:
            objects = [found for found in parse_objects(text, path) if found["kind"] != "Kustomization"]
        except InputError:
            objects = []
        if len(objects) == 1:
            return label(objects[0])
    return path


def _rendered(root: Path) -> dict[str, list[str]]:
    """Object → the rendered applications that bring it."""
    found: dict[str, list[str]] = {}
    base = root / "manifests" / "rendered"
    for path in sorted(base.glob("*/*/manifest.yaml")):
        for one in parse_objects(path.read_bytes(), str(path)):
            found.setdefault(label(one), []).append(path.parent.relative_to(base).as_posix())
    return found


def _differences(path: str, was: str, now: str) -> Iterator[str]:
    old, new = _flat(_document(path, was)), _flat(_document(path, now))
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            yield f"{key} is {_short(new[key])}, and was not there"
        elif key not in new:
            yield f"{key} is gone; it was {_short(old[key])}"
        elif old[key] != new[key]:
            yield f"{key} is {_short(new[key])}, was {_short(old[key])}"


def _document(path: str, text: str) -> Any:
    if path.endswith(".json"):
        return orjson.loads(text)
    if path.endswith(".yaml"):
        from presage.documents import parse_yaml

        return parse_yaml(text, path)
    if path.endswith(".xml"):
        from presage.governance.retention.lifecycles import ended

        return {rule: dict(word.split(": ", 1) for word in words) for rule, words in ended(text).items()}
    return {f"line {number}": line for number, line in enumerate(text.splitlines(), 1)}


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    """Leaves by their path. What has an id or a name is called by it; a text that is JSON is looked into."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {at: value}
    if isinstance(value, dict) and value:
        return {key: leaf for name, inner in value.items() for key, leaf in _flat(inner, f"{at}.{name}" if at else str(name)).items()}
    if isinstance(value, list) and value:
        found: dict[str, Any] = {}
        for position, inner in enumerate(value):
            named = (inner.get("id") or inner.get("name")) if isinstance(inner, dict) else None
            found |= _flat(inner, f"{at}[{named if isinstance(named, str) else position}]")
        return found
    return {at: value}


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
