"""Which commands there are: the name, the help line, and where the function lies.

Listing them here, as data, is what keeps `presage --help` fast: a command's module is imported only when that command
runs. A target is `module:function` (typer annotations, its docstring is the command's help); a name of two words is a
command inside a group.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Listed:
    """One command. `help` is what `presage --help` shows; the function's own docstring is shown by `presage NAME --help`."""

    name: str
    target: str
    help: str


COMMANDS: tuple[Listed, ...] = (
    Listed("up", "presage.cli.plane:up", "Train if needed, serve, stream telemetry and show the live table."),
    Listed("apply", "presage.cli.plane:apply", "Move what runs to the manifests as they are now, without dropping a request."),
    Listed("down", "presage.cli.plane:down", "Stop everything that `up` started."),
    Listed("status", "presage.cli.plane:status", "What runs, where, since when."),
    Listed("watch", "presage.cli.plane:watch", "The live table: server, risk, interval, tier, reasons."),
    Listed("logs", "presage.cli.plane:logs", "What a process wrote."),
    Listed("run", "presage.cli.run:run", "Run a pipeline here, or submit it to a Kubeflow endpoint."),
    Listed("predict", "presage.cli.predict:predict", "Risk now, of servers by name or of rows in a file."),
    Listed("report", "presage.cli.report:report", "A one-page report of a run, to read or to send."),
    Listed("replay", "presage.cli.replay:replay", "Decide history again under another release, and show what differs."),
    Listed("log show", "presage.cli.log:show", "One decision of the prediction log, with its inputs by name."),
    Listed("log query", "presage.cli.log:query", "SQL over the prediction log."),
    Listed("log sync", "presage.cli.log:sync", "Copy the prediction log to a warehouse, as Parquet or Iceberg."),
    Listed("log aggregate", "presage.cli.log:aggregate", "Counts that may leave, with differential privacy."),
    Listed("log erase", "presage.cli.log:erase", "Forget a subject, in the log and in every copy of it."),
    Listed("manifests render", "presage.cli.manifests:render", "Render an overlay with kustomize."),
    Listed("manifests expand", "presage.cli.manifests:expand", "Expand custom resources to the core objects they stand for."),
    Listed("verify", "presage.cli.verify:verify", "What is wrong with the manifests, before a cluster sees them."),
    Listed("policies render", "presage.cli.policies:render", "Compile policies/ into what enforces them."),
    Listed("release compose", "presage.cli.release:compose", "Compose a release from packages in a store, and sign it."),
    Listed("release publish", "presage.cli.release:publish", "Copy a release to where Pods take it from, sealed; print its URI."),
    Listed("release approve", "presage.cli.approval:approve", "Approve a release, signed, as its risk tier asks."),
    Listed("release revoke", "presage.cli.approval:revoke", "Refuse a release everywhere from now on."),
    Listed("release start", "presage.cli.releasing:start", "Commit a release's first share of the requests."),
    Listed("release judge", "presage.cli.releasing:judge", "Watch it: promote it step by step, or take it back."),
    Listed("release standing", "presage.cli.releasing:standing", "Which release is stable, which is on its way, by which steps."),
    Listed("release revert", "presage.cli.releasing:revert", "Take back the release that is on its way."),
    Listed("release rollback", "presage.cli.releasing:rollback", "Go back to a release that served before, at once."),
    Listed("release switch", "presage.cli.releasing:switch", "Blue-green: all requests to another release in one commit, and back."),
    Listed("release show", "presage.cli.release:show", "What a release holds, who signed it, whether it is sealed."),
    Listed("release rewrap", "presage.cli.release:rewrap", "Wrap data keys anew after a rotation of Vault's key."),
    Listed("contract show", "presage.cli.contract:show", "What callers of a model send and get."),
    Listed("contract diff", "presage.cli.contract:diff", "What changed between two contracts, and whether it breaks callers."),
    Listed("contract snippets", "presage.cli.contract:snippets", "curl, Python and Go that ask for predictions."),
    Listed("model import", "presage.cli.model:import_model", "Package an ONNX model that was not trained here."),
    Listed("access rotate", "presage.cli.access:rotate", "A new certificate for a client, good together with the old one for a stated time."),
    Listed("access revoke", "presage.cli.access:revoke", "Refuse a client's certificate from now on."),
    Listed("access revoked", "presage.cli.access:revoked", "Which certificates are refused, and from when on."),
    Listed("audit trace", "presage.cli.trace:trace", "What was behind one prediction: answer, release, data, approvals, policies, commits."),
    Listed("audit verify", "presage.cli.audit:verify", "Whether anything of the audit log was changed, left out or cut off."),
    Listed("audit show", "presage.cli.audit:show", "What was approved, released, refused, revoked and deleted."),
    Listed("audit denials", "presage.cli.audit:denials", "Bring a proxy's access denials into the log."),
    Listed("audit anchor", "presage.cli.audit:anchor", "Lock the log's present state into a bucket."),
    Listed("retention plan", "presage.cli.retention:plan", "What is due for deletion, by which rule."),
    Listed("retention apply", "presage.cli.retention:apply", "Delete what is due, each with an entry of the audit log."),
    Listed("retention verify", "presage.cli.retention:verify", "Whether anything is overdue, and whether each deletion was right."),
    Listed("retention changes", "presage.cli.retention:changes", "What a change of the policies changes, in sentences."),
    Listed("vault apply", "presage.cli.vault:apply", "Compare manifests/vault with a running Vault, and make it so."),
)

GROUPS: dict[str, str] = {
    "log": "The prediction log.",
    "manifests": "Render and expand the manifests.",
    "policies": "Compile policies into what enforces them.",
    "release": "Compose, approve, publish, start, judge and take back releases.",
    "contract": "What models promise their callers.",
    "model": "Models that were not trained here.",
    "access": "Certificates of clients: new ones, revoked ones.",
    "audit": "The audit log, and what was behind one prediction.",
    "retention": "How long what is kept is kept.",
    "vault": "What Vault holds for the platform.",
}
