"""`presage release start`, `judge`, `standing`, `revert`, `rollback`, `switch`: a release into service and out of it, by commits."""

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.failures import say
from presage.cli.log import LogOption
from presage.cli.output import Output, OutputOption, print_json
from presage.cli.release import StoreOption, open_store, parse_release
from presage.errors import InputError, UsageError

if TYPE_CHECKING:
    from presage.release.plan import Change
    from presage.release.sources.source import Source
    from presage.release.steps import Releasing, Situation, Taken
    from presage.state import State

OverlayOption = Annotated[str, typer.Option("--overlay", metavar="NAME", help="A folder of manifests/overlays.")]
ApplicationOption = Annotated[str, typer.Option("--application", metavar="NAME", help="The domain's application: models-network, models-databases.")]
ModelOption = Annotated[str, typer.Option("--model", metavar="NAME", help="The InferenceService.")]
BranchOption = Annotated[str | None, typer.Option("--branch", metavar="NAME", help="Default: the branch that the repository has checked out.")]
RepositoryOption = Annotated[Path | None, typer.Option("--repository", metavar="FOLDER", help="A checkout, or a bare repository; default: this one.")]
RemoteOption = Annotated[str | None, typer.Option("--push", metavar="REMOTE", help="The branch is this remote's: it is read and moved there.")]
ForgeOption = Annotated[
    str | None, typer.Option("--forge", metavar="URL", help="Ask by pull requests: the repository in the forge's API, https://HOST/…/repos/OWNER/NAME.")
]
ForgeTokenOption = Annotated[Path | None, typer.Option("--forge-token", metavar="FILE", help="A token that may write pull requests there.")]
KeyOption = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Sign step records with this ECDSA P-256 key; default: this state's own.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be committed, and commit nothing.")]
SourceOption = Annotated[
    str, typer.Option("--source", metavar="plane|URL", help="What to watch: the plane of this state, or a Prometheus (https://…).")
]
CaOption = Annotated[Path | None, typer.Option("--source-ca", metavar="FILE", help="PEM of whoever issued that Prometheus' certificate.")]
TokenOption = Annotated[Path | None, typer.Option("--source-token", metavar="FILE", help="A bearer token for it.")]


def start(  # noqa: PLR0917 - options, passed by name
    release: Annotated[str, typer.Argument(metavar="NAME:VERSION", help="Which release: NAME:VERSION, or a presage:// URI.")],
    overlay: OverlayOption = "production", application: ApplicationOption = "models-network", model: ModelOption = "incident",
    branch: BranchOption = None, repository: RepositoryOption = None, push: RemoteOption = None, key: KeyOption = None,
    forge: ForgeOption = None, forge_token: ForgeTokenOption = None, store: StoreOption = None,
    dry_run: DryOption = False, output: OutputOption = Output.table,
) -> int:  # fmt: skip
    """Commit a release's first share of the requests (and a shadow, where its tier asks for one), as the tier's plan says."""
    from presage.release.plan import start as first

    state, releasing = _open(overlay, application, model, branch, repository, push, key, forge, forge_token)
    uri = _uri(release, store, state)
    situation = releasing.read(uri)
    _require_approved(situation, uri)
    now = datetime.now(UTC)
    change = first(situation.standing, uri, situation.rules)
    if hold := releasing.hold(situation, uri, now):
        if not dry_run:
            raise InputError(f"{hold}. Start it later; going back is never held up.")
        say(f"held: {hold}")
    return _take(releasing, situation, change, now, dry_run, output, "")


def judge(  # noqa: PLR0917 - options, passed by name
    overlay: OverlayOption = "production", application: ApplicationOption = "models-network", model: ModelOption = "incident",
    branch: BranchOption = None, repository: RepositoryOption = None, push: RemoteOption = None, key: KeyOption = None,
    forge: ForgeOption = None, forge_token: ForgeTokenOption = None,
    source: SourceOption = "plane", source_ca: CaOption = None, source_token: TokenOption = None,
    outcomes: Annotated[Path | None, typer.Option("--outcomes", metavar="FILE", help="What came of predictions, a JSON line each.")] = None,
    log: LogOption = None,
    every: Annotated[float, typer.Option("--every", min=1.0, metavar="SECONDS", help="How often it looks.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and leave: for a CronJob.")] = False,
    output: OutputOption = Output.table,
) -> int:  # fmt: skip
    """Watch the release that is on its way: promote it step by step, or take it back, each by a commit with its evidence.

    Exit code 0 when it is promoted (or --once has looked), 1 when it was taken back. With --forge a step is a pull request that somebody merges.
    """
    from presage.errors import StateError
    from presage.prediction_log import log_folder
    from presage.release.judge import ReleaseJudge
    from presage.release.sources.outcomes import WithOutcomes, of_log

    state, releasing = _open(overlay, application, model, branch, repository, push, key, forge, forge_token)
    watched = _source(source, state, releasing, source_ca, source_token)
    if outcomes is not None:
        mine = state.plane / "volumes" / "prediction-log" if log is None and source == "plane" else log_folder(log)  # it may come with the first request
        watched = WithOutcomes(watched, outcomes, of_log(mine), say)
    judging = ReleaseJudge(releasing, watched, state.root / "release")
    said, asked = "", ""
    while True:
        began = time.monotonic()
        try:
            outcome = judging.tick(datetime.now(UTC))
        except StateError as error:  # a busy disk, a remote that is out: the next look may find it well
            say(error.message)
            outcome = None
        if outcome is not None:
            if (outcome.taken is not None or output is Output.table) and outcome.words != said:
                said = outcome.words
                print(f"{datetime.now(UTC):%H:%M:%S}  {outcome.kind:<8}  {outcome.words}", flush=True)
            asked = outcome.taken.step if outcome.kind == "asked" and outcome.taken else asked
            if outcome.kind == "reverted" or (not outcome.more and asked == "revert"):
                return 1
            if once or not outcome.more:
                return 0
        if outcome is None or outcome.kind not in ("took", "again"):
            time.sleep(max(0.0, every - (time.monotonic() - began)))


def standing(  # noqa: PLR0917 - options, passed by name
    overlay: OverlayOption = "production", application: ApplicationOption = "models-network", model: ModelOption = "incident",
    branch: BranchOption = None, repository: RepositoryOption = None, push: RemoteOption = None, output: OutputOption = Output.table,
) -> None:  # fmt: skip
    """Which release is stable, which is on its way and with what share, and the steps that brought it there."""
    _, releasing = _open(overlay, application, model, branch, repository, push, None, None, None)
    situation = releasing.read()
    steps = [
        {"step": one.step.step, "at": one.step.at, "because": one.step.because, "record": one.path} for one in situation.records
    ]  # fmt: skip
    document = {"overlay": overlay, "application": application, "model": model, "commit": situation.commit, **situation.standing.summary(), "steps": steps}
    if output is Output.json:
        print_json(document)
        return
    print(f"{overlay}/{application}/{model} at {situation.commit[:12]}, tier {situation.tier}")
    print(f"  stable  {situation.standing.stable}  {situation.standing.replicas} replicas")
    if situation.standing.canary is not None:
        canary = situation.standing.canary
        print(f"  canary  {canary.uri}  {canary.percent} percent, {canary.replicas} replicas")
    if situation.standing.shadow is not None:
        print(f"  shadow  {situation.standing.shadow}")
    for step in steps:
        print(f"  {step['at']}  {step['step']:<8}  {step['because']}")


def revert(  # noqa: PLR0917 - options, passed by name
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why: it stands in the record.")],
    overlay: OverlayOption = "production", application: ApplicationOption = "models-network", model: ModelOption = "incident",
    branch: BranchOption = None, repository: RepositoryOption = None, push: RemoteOption = None, key: KeyOption = None,
    forge: ForgeOption = None, forge_token: ForgeTokenOption = None,
    dry_run: DryOption = False, output: OutputOption = Output.table,
) -> int:  # fmt: skip
    """Take back the release that is on its way. Never held up by a freeze."""
    from presage.release.plan import revert as back

    _, releasing = _open(overlay, application, model, branch, repository, push, key, forge, forge_token)
    situation = releasing.read()
    return _take(releasing, situation, back(situation.standing, situation.original), datetime.now(UTC), dry_run, output, because)


def rollback(  # noqa: PLR0917 - options, passed by name
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why: it stands in the record.")],
    to: Annotated[str | None, typer.Option("--to", metavar="NAME:VERSION", help="Which release; default: the one that served before.")] = None,
    overlay: OverlayOption = "production", application: ApplicationOption = "models-network", model: ModelOption = "incident",
    branch: BranchOption = None, repository: RepositoryOption = None, push: RemoteOption = None, key: KeyOption = None,
    forge: ForgeOption = None, forge_token: ForgeTokenOption = None, store: StoreOption = None,
    dry_run: DryOption = False, output: OutputOption = Output.table,
) -> int:  # fmt: skip
    """Go back to a release that served before, at once; whatever is on its way goes. Never held up by a freeze."""
    from presage.release.plan import rollback as back

    state, releasing = _open(overlay, application, model, branch, repository, push, key, forge, forge_token)
    uri = _uri(to, store, state) if to else releasing.before()
    situation = releasing.read(uri)
    return _take(releasing, situation, back(situation.standing, uri, situation.original), datetime.now(UTC), dry_run, output, because)


def switch(  # noqa: PLR0917 - options, passed by name
    release: Annotated[str | None, typer.Argument(metavar="NAME:VERSION", help="Bring this one up beside the stable one first.")] = None,
    back: Annotated[bool, typer.Option("--back", help="All requests back to the stable release.")] = False,
    overlay: OverlayOption = "production", application: ApplicationOption = "models-network", model: ModelOption = "incident",
    branch: BranchOption = None, repository: RepositoryOption = None, push: RemoteOption = None, key: KeyOption = None,
    forge: ForgeOption = None, forge_token: ForgeTokenOption = None, store: StoreOption = None,
    source: SourceOption = "plane", source_ca: CaOption = None, source_token: TokenOption = None,
    dry_run: DryOption = False, output: OutputOption = Output.table,
) -> int:  # fmt: skip
    """Blue-green: bring a release up without requests, then give it all of them in one commit; --back undoes that as fast."""
    from presage.release.plan import green
    from presage.release.plan import switch as over

    state, releasing = _open(overlay, application, model, branch, repository, push, key, forge, forge_token)
    if release is not None:
        uri = _uri(release, store, state)
        situation = releasing.read(uri)
        _require_approved(situation, uri)
        now = datetime.now(UTC)
        if hold := releasing.hold(situation, uri, now):
            raise InputError(f"{hold}. Start it later; going back is never held up.")
        watched = _source(source, state, releasing, source_ca, source_token)
        if _take(releasing, situation, green(situation.standing, uri, watched.capacity()), now, dry_run, output, "") or dry_run:
            return 0
        if forge is not None:
            say("when that is merged and live, run it again without a release: then it gets every request")
            return 0
        _wait_until_live(releasing, watched)
    situation = releasing.read()
    return _take(releasing, situation, over(situation.standing, back=back), datetime.now(UTC), dry_run, output, "")


def _open(  # noqa: PLR0917
    overlay: str, application: str, model: str, branch: str | None, repository: Path | None, push: str | None, key: Path | None,
    forge: str | None, forge_token: Path | None,
) -> "tuple[State, Releasing]":  # fmt: skip
    from presage.manifests.render import manifests_folder
    from presage.package.keys import local_key, read_key
    from presage.release.asking import Asking
    from presage.release.audited import told
    from presage.release.forge import Forge
    from presage.release.repository import Repository, branch_of
    from presage.release.standing import Place
    from presage.release.steps import Releasing
    from presage.state import State

    state = State.open()
    root = repository or manifests_folder().parent
    signer = read_key(key) if key else local_key(state.keys)
    place = Place(overlay, application, model)
    name = branch or branch_of(root)
    asking = None
    if forge is not None:
        if push is None or forge_token is None:
            raise UsageError("--forge needs --push, where the branches of its pull requests go, and --forge-token. Name both.")
        asking = Asking(Forge.of(forge, forge_token, name), state.root / "release" / "asked")
    return state, Releasing(Repository(root, name, push), place, signer, told=told(state), asking=asking)


def _take(  # noqa: PLR0917
    releasing: "Releasing", situation: "Situation", change: "Change", now: datetime, dry_run: bool, output: Output, because: str
) -> int:
    if dry_run:
        from presage.durations import format_duration
        from presage.release.judging import requests_needed

        planned = {"step": change.step, "because": because or change.because, "before": situation.standing.summary(), "after": change.after.summary()}
        if output is Output.json:
            print_json(planned)
        else:
            print(f"{change.step}: {because or change.because}")
            for name, value in change.after.summary().items():
                if situation.standing.summary()[name] != value:
                    print(f"  {name}: {situation.standing.summary()[name]} → {value}")
            plan = situation.rules.canary
            for following in plan.steps:
                needed = max(requests_needed(plan, following.percent)[name] for name in ("errors", "latency", "scores"))
                judged = f", and some {needed} answers to show that it is no worse" if following.percent < 100 else ""
                print(f"  {following.percent} percent: {format_duration(following.soak)} at least{judged}")
        return 0
    _print(releasing.take(situation, change, now, because=because), output)
    return 0


def _print(taken: "Taken", output: Output) -> None:
    if output is Output.json:
        print_json(asdict(taken))
    elif taken.request:
        print(f"{taken.step}  {taken.release}\n  {taken.because}\n  {taken.request} waits to be merged")
    else:
        print(f"{taken.commit[:12]}  {taken.step}  {taken.release}\n  {taken.because}\n  {taken.record}")


def _wait_until_live(releasing: "Releasing", source: "Source") -> None:
    from presage.release.judge import COME_UP

    until = time.monotonic() + COME_UP.total_seconds()
    said = ""
    while waits := source.live(releasing.read().standing):
        if time.monotonic() > until:
            raise InputError(f"it is not live after {COME_UP}: {waits}. Take it back: presage release revert.")
        if waits != said:
            say(waits)
            said = waits
        time.sleep(1.0)


def _source(name: str, state: "State", releasing: "Releasing", ca: Path | None, token: Path | None) -> "Source":
    if name == "plane":
        from presage.release.sources.plane import PlaneSource

        return PlaneSource(state, releasing.place)
    if not name.startswith("https://") and not name.startswith("http://127."):
        raise UsageError(f"--source {name[:80]!r} is neither plane nor https://…. Name the Prometheus that scrapes the predictors.")
    from presage.release.sources.prometheus import PrometheusSource

    return PrometheusSource(name, releasing.place, ca=ca, token=token)


def _uri(release: str, store: str | None, state: "State") -> str:
    """The pinned name of a release."""
    reference = parse_release(release)
    return str(reference if reference.digest else open_store(store, state).pin(reference))


def _require_approved(situation: "Situation", uri: str) -> None:
    """A commit that admission would refuse is not made. Raises ArtifactRefused, InputError."""
    from presage.package.approvals import Subject, check
    from presage.package.reference import parse_reference

    reference = parse_reference(uri)
    check(situation.policies.approvals, Subject(f"{reference.name}:{reference.version}", str(reference.digest), situation.tier), datetime.now(UTC))
    if revoked := next((entry for entry in situation.policies.revoked.revoked if entry.digest == reference.digest), None):
        raise InputError(f"{uri} was revoked: {revoked.because} (policies/revocations.yaml). Release another one.")
