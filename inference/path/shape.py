"""Does the request have the shape that the contract promises? Asked before anything is looked up."""

from dataclasses import dataclass

from inference.path.request import PathRequest, Step
from presage.errors import RequestRefused
from presage.package.contract import Contract


@dataclass(frozen=True)
class PathLimits:
    """rows: most rows in one request. explained_rows: most rows with reasons (each costs about a millisecond).
    name: longest server name."""

    rows: int = 4096
    explained_rows: int = 256
    name: int = 253


def row_shape(contract: Contract) -> tuple[int, ...]:
    """Of one row of `x`: [inputs], or [history, inputs] for a sequence model."""
    width = len(contract.inputs)
    return (contract.history, width) if contract.kind == "sequence" else (width,)


def check_shape(contract: Contract, limits: PathLimits) -> Step:
    """Refuses with 400, naming the field, the value and the limit."""
    expected = row_shape(contract)
    written = ", ".join(["n", *map(str, expected)])

    def step(request: PathRequest) -> None:
        if (request.servers is None) == (request.x is None):
            raise RequestRefused(400, "input", "Give exactly one of server (rows are looked up) and x (rows are given).")
        rows = request.rows
        if not 0 < rows <= limits.rows:
            raise RequestRefused(400, "rows", f"The request asks for {rows} rows. Send 1 to {limits.rows}.")
        if request.explain and rows > limits.explained_rows:
            raise RequestRefused(400, "rows", f"The request asks for reasons of {rows} rows. Ask for at most {limits.explained_rows} at a time.")
        if request.x is not None:
            if request.x.shape[1:] != expected:
                raise RequestRefused(400, "shape", f"x has shape {list(request.x.shape)}; {contract.name} reads [{written}].")
            return
        for index, server in enumerate(request.servers or ()):
            if not 0 < len(server) <= limits.name:
                raise RequestRefused(400, "server", f"server[{index}] has {len(server)} characters. A server name has 1 to {limits.name}.")

    return step
