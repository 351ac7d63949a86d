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
)

GROUPS: dict[str, str] = {"manifests": "Render and expand the manifests."}
