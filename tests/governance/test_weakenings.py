"""Generated changes of every word of every policy file that enforces something: each is refused when it is read, or what is compiled becomes another, which
`presage policies render --check` sees. Only prose may change unseen."""

import copy
import re
import shutil
from functools import cache

import pytest
import yaml
from builders.approvals import NOW, ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from presage.errors import InputError
from presage.governance.access.sense import LONGEST_CERTIFICATE
from presage.governance.compiling import compile_policies

FILES = ("risk-tiers", "approvals", "rollout", "retention", "access", "data-classes", "models/incident")
PROSE = {
    "title", "owner", "rationale", "means", "purpose", "because", "assumptions", "limits", "failure_modes", "definition", "assessment", "id", "currency",
    "roles", "regions",
}  # fmt: skip
"""Keys whose values are for people: names, reasons, descriptions."""
OTHERS = ("1s", "9999d", "low", "high", "none", "never", "keep", "*", "process", "mesh", "outside")


@cache
def documents():
    return {name: yaml.safe_load((ROOT / "policies" / f"{name}.yaml").read_text()) for name in FILES}


def places(found, path=()):
    """Every path to a leaf, a list's element or a mapping's key, that is no prose."""
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in inner:
        prose = key in PROSE and not (key == "roles" and path[-1:] == ("approvals",)) and not (key == "assessment" and not path)
        if not prose:
            yield (*path, key)
            yield from places(value, (*path, key))


NOTHING_ENFORCED = {
    ("access", ("workloads", 1)),  # says that a program gets nothing
    ("data-classes", ("classes", "public")), ("data-classes", ("classes", "person")), ("data-classes", ("classes", "subject")),
    ("data-classes", ("classes", "secret")),  # nothing is of these classes yet: what is, cannot lose its class
    ("data-classes", ("inputs", "named")), ("retention", ("holds",)),  # empty, as is what is left out
}  # fmt: skip


def enforced(name, path):
    return not any((name, path[:length]) in NOTHING_ENFORCED for length in range(1, len(path) + 1))


ALL = [(name, path) for name in FILES for path in places(documents()[name]) if enforced(name, path)]


def other(data, value):
    """Something else in its place; None takes it away."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return data.draw(st.sampled_from([value * 2, value / 2, value + 1, 0, 1, value * 1000]).filter(lambda new: new != value))
    if isinstance(value, str):
        longer = re.sub(r"\d+", lambda number: str(int(number[0]) * 2), value)
        return data.draw(st.sampled_from([*OTHERS, longer, value + "x"]).filter(lambda new: new != value))
    return None


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    root = tmp_path_factory.mktemp("weakened")
    shutil.copytree(ROOT / "policies", root / "policies")
    (root / "manifests").symlink_to(ROOT / "manifests")
    return root, compile_policies(root, NOW)


@pytest.mark.long
@settings(max_examples=120)
@given(place=st.sampled_from(ALL), data=st.data())
def test_no_word_of_a_policy_that_enforces_something_changes_unseen(here, place, data):
    root, committed = here
    name, path = place
    changed = copy.deepcopy(documents()[name])
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    new = other(data, holder[path[-1]])
    if new is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = new
    file = root / "policies" / f"{name}.yaml"
    kept = file.read_bytes()
    file.write_text(yaml.safe_dump(changed, sort_keys=False))
    try:
        seen = compile_policies(root, NOW) != committed
        assert seen, (name, path, new)
    except InputError as refused:
        assert "policies" in refused.message
    finally:
        file.write_bytes(kept)


def test_a_clients_certificate_lives_no_longer_than_vault_issues_any():
    vault = yaml.safe_load((ROOT / "manifests" / "vault" / "configuration.yaml").read_text())
    longest = [found["max_ttl"] for found in maps(vault) if "max_ttl" in found]
    assert f"{LONGEST_CERTIFICATE.days}d" == longest[0] == longest[1]


def maps(found):
    """Every mapping in a document, in order."""
    if isinstance(found, dict):
        yield found
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from maps(inner)
