"""Before anything is shown: a repository, a trained and approved model, and the plane that runs what the branch says."""

from demo.narration import Narrator
from demo.stage import APPROVER, ROLE, Stage, rehearsed, serve
from presage.package.reference import Reference


def show(stage: Stage, tell: Narrator) -> Reference:
    """The release that serves at first."""
    tell.begin("·", "Setting the scene", "A repository, a model trained now, a person's signature under it, and the plane: the YAML that Argo CD would apply.")
    stage.change("policies of a demonstration: soaks of seconds, one approver", rehearsed(stage.scale, {APPROVER: stage.approver}))
    tell.say(f"training on {stage.scale.source}")
    run = stage.train()
    release = stage.store.pin(Reference("incident", int(run.model.version), None))
    tell.claim(
        "A model is trained, calibrated, evaluated, packaged and signed",
        run.average_precision > run.prevalence,
        [
            f"{run.model.uri}",
            f"average precision {run.average_precision:.2f} on unseen days, where guessing has {run.prevalence:.2f}; {run.seconds:.0f} s, {run.winner} won",
        ],
    )
    commit = stage.approve(release, "incident: the first release, approved and serving", lambda tree: serve(tree, str(release)))
    tell.say(f"{APPROVER} approves it as {ROLE}; commit {commit[:12]} names it by its digest")
    status = stage.up(lambda words: None)
    applications = stage.followed.applications
    tell.claim(
        "What the branch holds runs: every application of overlay local, on real processes",
        status.ready and all(one.state == "Synced" for one in applications),
        [
            f"{len(status.processes)} containers: gateway and sidecars (Envoy), Vault (OpenBao), object store, gate, request path, stream",
            f"{', '.join(one.name for one in applications)}: Synced at {stage.followed.commit[:12]}",
        ],
    )
    return release
