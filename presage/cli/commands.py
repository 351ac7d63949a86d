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
    Listed("manifests render", "presage.cli.manifests:render", "Render an overlay with kustomize."),
    Listed("manifests expand", "presage.cli.manifests:expand", "Expand custom resources to the core objects they stand for."),
    Listed("verify", "presage.cli.verify:verify", "What is wrong with the manifests, before a cluster sees them."),
    Listed("policies render", "presage.cli.policies:render", "Compile policies/access.yaml into what enforces it."),
    Listed("release compose", "presage.cli.release:compose", "Compose a release from packages in a store, and sign it."),
    Listed("release publish", "presage.cli.release:publish", "Copy a release to where Pods take it from, sealed; print its URI."),
    Listed("release show", "presage.cli.release:show", "What a release holds, who signed it, whether it is sealed."),
    Listed("release rewrap", "presage.cli.release:rewrap", "Wrap data keys anew after a rotation of Vault's key."),
    Listed("model import", "presage.cli.model:import_model", "Package an ONNX model that was not trained here."),
    Listed("vault apply", "presage.cli.vault:apply", "Compare manifests/vault with a running Vault, and make it so."),
)

GROUPS: dict[str, str] = {
    "manifests": "Render and expand the manifests.",
    "policies": "Compile policies into what enforces them.",
    "release": "Compose, publish and show releases.",
    "model": "Models that were not trained here.",
    "vault": "What Vault holds for the platform.",
}
