"""The step's signature. `state` is the folder that keeps releases, keys and the registry; `policy` is the policy's YAML text."""

from typing import List  # noqa: UP035 (KFP reads this spelling)

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def package(
    models: Input[List[Model]],  # noqa: UP006
    validated: Input[Dataset],
    features: Input[Dataset],
    labels: Input[Dataset],
    folds: Input[Dataset],
    detectors: Input[Artifact],
    evaluation: Input[Artifact],
    policy: str,
    state: str,
    run_id: str,
    created: str,
    seed: int,
    code_digest: str,
    packaged: Output[Artifact],
) -> None:
    """Signed packages, releases in the state's store, model versions in the registry. created: the run's time, RFC 3339."""
    from pathlib import Path

    from components.package.lineage import RunIdentity, lock_digest
    from components.package.package import Steps, package
    from presage.governance.model_policy import parse_model_policy
    from presage.state import State

    steps = Steps(
        models=[Path(model.path) for model in models],
        validated=Path(validated.path),
        features=Path(features.path),
        labels=Path(labels.path),
        folds=Path(folds.path),
        detectors=Path(detectors.path),
        evaluation=Path(evaluation.path),
    )
    run = RunIdentity(run_id, created, code_digest, lock_digest(), int(seed))
    package(steps, parse_model_policy(policy, "--policy"), run, State.open(state), Path(packaged.path))
