"""The policy says for each store, tier and region how long it keeps, and what is wrong with it is said with its place."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from builders.retention import MODELS, NOW, ROOT, TEXT, hold, item, policy, terms

from presage.errors import InputError
from presage.governance.repository import Policies
from presage.governance.retention.policy import check_regions, load_retention, parse_retention
from presage.governance.retention.terms import Terms

DAYS = timedelta(days=1)
OTHERS = ("regions:\n  eu-central: European Union\n", "regions:\n  eu-central: European Union\n  us-east: United States\n")
IN_US = ("      high: 365d\n\n", "      high: 365d\n    in_regions: {us-east: {high: 30d}}\n\n")


def test_days_follow_the_tier_and_the_region_alone():
    rule = policy(OTHERS, IN_US).rule_of("prediction-log")
    assert [rule.kept(tier, "eu-central") // DAYS for tier in ("low", "medium", "high")] == [90, 180, 365]
    assert [rule.kept(tier, "us-east") // DAYS for tier in ("low", "medium", "high")] == [90, 180, 30]


def test_of_a_model_that_is_not_known_the_longest_time_counts():
    rule = policy(OTHERS, IN_US).rule_of("prediction-log")
    assert (rule.kept(None, "eu-central") // DAYS, rule.kept(None, "us-east") // DAYS, rule.kept(None, "elsewhere") // DAYS) == (365, 180, 365)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("high: 365d", "high: 365", "rules.0.keep"),
        ("low: 90d\n      medium: 180d", "low: 90d", "rules.0.keep of RET-2 says nothing of medium"),
        ("store: leftovers", "store: packages", "rules say nothing of leftovers"),
        ("id: RET-3", "id: RET-2", "RET-2 is there twice"),
        ("keep: 30d", "keep: 1d", "rules.2.keep of RET-4 is shorter than 2 days"),
        ("low: 90d", "low: 12h", "rules.0.keep.low of RET-2 is shorter than 1 day"),
        ("keep: 30d", "keep: 30d\n    keep_last: 2", "rules.2.keep_last of RET-4 is 2, and in leftovers nothing has a last one"),
        ("keep_last: 3", "keep_last: 0", "it would be given again"),
        ("keep: 30d", "keep: 30d\n    in_regions: {mars: 3d}", "rules.2.in_regions.mars of RET-4 is no region; these are: eu-central"),
        ("old_versions: 30d", "old_versions: 36h", "is no number of days"),
        ('daily_at: "03:20"', 'daily_at: "25:00"', "daily_at"),
        ("holds: []", "holds: [{id: HLD-1, because: Why not., from: 2026-01-01, covers: {}}]", "would hold everything"),
        ("holds: []", "holds: [{id: HLD-1, because: Why not., from: 2026-01-02, until: 2026-01-02, covers: {models: [a]}}]", "not after it begins"),
        ("holds: []", "holds: [{id: HLD-1, because: Why not., from: 2026-01-02, covers: {regions: [mars]}}]", "the regions are eu-central"),
        ("holds: []", "holds: [{id: HLD-1, because: Why not., from: 2026-01-02, covers: {since: 2026-02-01, before: 2026-01-01}}]", "not after since"),
        ("holds: []", "holds: []\nkept: for ever", "kept"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_key(old, new, says):
    assert old in TEXT
    with pytest.raises(InputError) as refused:
        parse_retention(TEXT.replace(old, new, 1), "policies/retention.yaml")
    assert says in refused.value.message and refused.value.message.startswith("policies/retention.yaml:"), refused.value.message


def test_a_region_where_a_model_may_not_keep_its_data_is_refused():
    with pytest.raises(InputError, match="regions has no 'us-east', where the model rota keeps its data"):
        check_regions(policy(), {name: one.region for name, one in MODELS.items()}, "retention.yaml")


def test_the_committed_policy_is_good_and_covers_every_committed_model():
    found = Policies.read(ROOT).retention_terms
    assert set(found.models) >= {"incident", "incident-sequence"}
    assert all(one.region in found.policy.regions for one in found.models.values())


@pytest.mark.parametrize(
    ("on", "kept"),
    [
        ({"models": ["incident"]}, {"incident", "unknown"}),
        ({"stores": ["packages"]}, set()),
        ({"releases": ["incident:7"]}, {"incident", "unknown", "rota"}),  # whose release is not known may be meant
        ({"releases": ["incident"]}, {"incident", "unknown", "rota"}),
        ({"releases": ["incident:8"]}, {"unknown", "rota"}),
        ({"regions": ["us-east"]}, {"rota", "unknown"}),
        ({"since": "2025-10-23"}, set()),
        ({"since": "2025-10-22"}, {"incident", "rota", "unknown"}),
        ({"before": "2025-10-21"}, set()),
        ({"before": "2025-10-22"}, {"incident", "rota", "unknown"}),
        ({"models": ["rota"], "regions": ["eu-central"]}, {"unknown"}),
    ],
)
def test_a_hold_keeps_what_fits_all_that_it_names_and_what_may_fit(on, kept):
    """Everything here was written from 2025-10-21, noon, to 2025-10-22, noon."""
    found = policy(OTHERS, hold(**on))
    things = {"incident": item(model="incident", release="incident:7@sha256:0f"), "rota": item(model="rota"), "unknown": item(model="")}
    assert {name for name, one in things.items() if found.holding(one, NOW)} == kept


def test_a_hold_holds_from_its_day_until_the_day_that_ends_it():
    found = policy(("holds: []", 'holds: [{id: HLD-1, because: "A court.", from: 2026-11-01, until: 2026-11-20, covers: {models: [incident]}}]'))
    moments = ["2026-10-31T23:59:59", "2026-11-01T00:00:00", "2026-11-19T23:59:59", "2026-11-20T00:00:00"]
    assert [bool(found.holding(item(), datetime.fromisoformat(moment).replace(tzinfo=UTC))) for moment in moments] == [False, True, True, False]


def test_compiled_terms_read_back_as_themselves_and_have_one_digest():
    first = terms(OTHERS, IN_US, hold(models=["incident"], since="2026-01-01"))
    again = Terms.parse(first.content, "retention.json")
    assert (again.policy, again.models, again.digest) == (first.policy, first.models, first.digest)
    assert Terms.parse(orjson.dumps(orjson.loads(first.content), option=orjson.OPT_INDENT_2), "retention.json").digest == first.digest
    assert terms().digest != first.digest


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"schema": "presage.retention/v2"}', b'{"schema": "presage.retention/v1", "policy": {}, "models": {}}'],
)
def test_what_is_no_compiled_policy_is_refused(content):
    with pytest.raises(InputError, match="no compiled policy of retention"):
        Terms.parse(content, "retention.json")


def test_a_missing_file_is_said_with_what_to_do(tmp_path):
    with pytest.raises(InputError, match="there is no policy of retention here"):
        load_retention(tmp_path / "retention.yaml")
