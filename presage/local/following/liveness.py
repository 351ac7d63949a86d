"""Whether a commit is live: when a judge's clock begins."""

from pathlib import Path

from presage.errors import PresageError
from presage.local.cluster import check
from presage.local.following.record import Application, read_following
from presage.local.record import Plan, PlaneRecord, read_plan, read_record
from presage.release.repository import Repository
from presage.state import State


def live(state: State, application: str, commit: str) -> str:
    """Why `commit` (or a later one) is not yet what runs of an application; empty where it is.

    It is where the application was applied at it or after it, every Pod of it is ready and of the template that was applied, as many as are wanted, and its
    routes have the weights that were applied. Raises StateError where a record is damaged.
    """
    following, record, plan = read_following(state.plane), read_record(state.plane), read_plan(state.plane)
    if following is None or plan is None:
        return f"no branch is followed in {state.root}"
    if record is None or not record.alive:
        return f"nothing runs in {state.root}"
    known = following.application(application)
    if known is None:
        return f"{following.branch} has no application {application} at {following.commit[:12]}"
    if not _holds(Repository(Path(following.repository), following.branch), known.applied, commit):
        because = known.message or following.message
        return f"{application} is at {known.applied[:12] or 'no commit'}, {known.state}{f': {because}' if because else ''}"
    if known.state != "Synced":
        return f"{application} is {known.state}: {known.message}"
    if record.digest != following.plan:
        return record.trouble or "the plane has not taken the commit yet"
    return _pods(state.root, known, plan, record) or _weights(known, plan, record)


def _holds(repository: Repository, applied: str, commit: str) -> bool:
    try:
        return bool(applied) and (applied == commit or repository.contains(applied, commit))
    except PresageError:
        return False


def _pods(root: Path, application: Application, plan: Plan, record: PlaneRecord) -> str:
    for workload in check(root, plan).workloads:
        name = "/".join(workload.key)
        if name not in application.workloads:
            continue
        found = [one for one in record.processes if (one.namespace, one.workload) == workload.key and not one.initializes]
        pods = {one.pod for one in found}
        scaled = record.scaled.get(name)
        wanted = workload.strategy.replicas if scaled is None else scaled.replicas
        good = {pod for pod in pods if all(one.ready and one.revision == workload.template.revision for one in found if one.pod == pod)}
        if len(good) < wanted or good != pods:
            said = next((one.ended or one.message for one in found if not one.ready and (one.ended or one.message)), "")
            return f"{name}: {len(good)} of {wanted} Pods are ready as applied, {len(pods) - len(good)} are not{f' ({said})' if said else ''}"
    return ""


def _weights(application: Application, plan: Plan, record: PlaneRecord) -> str:
    from presage.local.compare import routes

    there = (one for one in routes(plan, record) if one.object.removeprefix("HTTPRoute ") in application.routes)
    found = next(there, None)
    return "" if found is None else f"{found.object}: {found.field} is {found.running}, and {found.rendered} is due"
