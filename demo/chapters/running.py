"""(f) What runs is what is rendered, field by field: `presage verify --running`."""

from demo.narration import Narrator
from demo.stage import Stage
from presage.local.compare import compare
from presage.local.record import read_plan


def show(stage: Stage, tell: Narrator) -> None:
    tell.begin(
        "f", "The YAML is what runs",
        "Every command line, variable, file, limit and route of every process, held against what the branch's newest commit renders.",
    )  # fmt: skip
    differences = compare(stage.state)
    plan = read_plan(stage.state.plane)
    assert plan is not None
    tell.claim(
        f"Rendered YAML and running processes differ in {len(differences)} fields",
        not differences,
        [
            f"{len(plan.objects)} objects compared at {stage.followed.commit[:12]}",
            *(f"{one.object} {one.field}: {one.rendered} / {one.running}" for one in differences),
        ],
    )
    tell.figure("fields that differ", str(len(differences)))
