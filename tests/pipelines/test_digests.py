"""What the cache's key sees besides arguments: code that steps run, the lock, and the files of a source."""

from pathlib import Path

import grimp
import pytest

from pipelines.digests import NEVER_CACHED, NOT_IN_STEPS, ROOMS, code_digest, source_digest
from presage.errors import InputError


def tree(root: Path) -> Path:
    for name, text in {"components/a.py": "A = 1\n", "presage/b.py": "B = 1\n", "presage/cli/c.py": "C = 1\n", "requirements.lock": "polars==2.1\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(("name", "seen"), [("components/a.py", True), ("presage/b.py", True), ("requirements.lock", True), ("presage/cli/c.py", False)])
def test_a_change_is_seen_where_a_step_could_run_it(tmp_path, name, seen):
    before = code_digest(tree(tmp_path))
    (tmp_path / name).write_text("changed = 2\n")
    assert (code_digest(tmp_path) != before) is seen


def test_a_renamed_file_is_a_change(tmp_path):
    before = code_digest(tree(tmp_path))
    (tmp_path / "components/a.py").rename(tmp_path / "components/z.py")
    assert code_digest(tmp_path) != before


def test_what_the_digest_leaves_out_no_step_imports_that_a_cache_may_answer():
    graph = grimp.build_graph("components", "feature_store", "inference", "pipelines", "presage", cache_dir=None)
    left_out = [*NOT_IN_STEPS, *({"feature_store", "inference", "pipelines"} - set(ROOMS))]
    steps = sorted(graph.find_children("components") - set(NEVER_CACHED))
    assert len(steps) > 9
    chains = [
        chain
        for step in steps
        for module in left_out
        if module in graph.modules
        for chain in graph.find_shortest_chains(step, module, as_packages=True)
    ]
    assert chains == []


def test_the_digest_of_a_file_source_follows_its_content(tmp_path):
    path = tmp_path / "fleet.csv"
    path.write_text("a")
    before = source_digest(f"csv:{path}")
    path.write_text("b")
    assert source_digest(f"csv:{path}") != before
    assert source_digest("simulated:servers=3") == ""


def test_a_mapping_file_is_part_of_the_source(tmp_path):
    path, mapping = tmp_path / "fleet.csv", tmp_path / "map.yaml"
    path.write_text("a")
    mapping.write_text("a: b")
    before = source_digest(f"csv:{path},mapping={mapping}")
    mapping.write_text("a: c")
    assert source_digest(f"csv:{path},mapping={mapping}") != before


def test_a_missing_file_is_said_before_anything_starts(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.parquet does not exist"):
        source_digest(f"parquet:{tmp_path}/nowhere.parquet")
