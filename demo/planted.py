"""Releases that are not what they should be, made as somebody would make them: with a real store, real packages and, but for one, a real signature.

    worse(store, …, "scores")     passes the gate, as it is well signed and within its contract: its calibration was mixed up
    worse(store, …, "latency")    the same answers, after work that nobody needs
    worse(store, …, "errors")     its model cannot compute what live telemetry brings, so a lower rung answers
    worse(store, …, "outcomes")   it answers for another row than the one asked about, so its risks are distributed as before, and wrong
    another(store, …)             a good one, of the same packages
    tampered(store, …)            somebody who can write to the store, and holds no key, swapped the model of a good one
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, load_from_string, numpy_helper

from presage.files import canonical_json, sha256_bytes
from presage.governance.model_policy import ModelPolicy
from presage.package import oci
from presage.package.calibration import VennAbers
from presage.package.composing import compose_release, keep
from presage.package.keys import SigningKey, Trust
from presage.package.layout import RELEASE, RELEASE_SIGNATURE
from presage.package.oci import Descriptor
from presage.package.reference import Reference
from presage.package.signing import SIGNATURE_FILE, sign_folder
from presage.package.store import Published, ReleaseStore

Kind = Literal["scores", "latency", "errors", "outcomes"]
Files = Mapping[str, bytes]
_CALIBRATION, _MODEL = "calibration.safetensors", "model.onnx"
_MEMORY = "system.memory.utilization.mean_15m"


class Labelled(NamedTuple):
    """x: float32[rows, inputs of the model], no row twice; label: bool[rows], whether an incident came."""

    x: NDArray[np.float32]
    label: NDArray[np.bool_]


def worse(
    store: ReleaseStore, key: SigningKey, policy: ModelPolicy, of: Reference, *, scratch: Path, how: Kind = "scores", rows: Labelled | None = None
) -> Published:  # fmt: skip
    """The primary of `of`, spoiled in one way. scratch: a folder for the package while it is signed. rows: for "outcomes", those that will be asked about."""
    files, member = _primary(store, of)
    spoiled = files | (_SPOILED[how](files) if rows is None else _swapped(files, rows))
    folder = scratch / member["model"]
    folder.mkdir(parents=True, mode=0o700)
    for name in member["files"]:
        (folder / name).write_bytes(spoiled[name])
    sign_folder(folder, key)
    trust = Trust.of([key.public])
    stored = store.add(folder, trust)
    keep(store, stored)
    return compose_release(policy.name, {"primary": stored.digest}, store, policy, key, trust=trust, default=0.5)


def another(store: ReleaseStore, key: SigningKey, policy: ModelPolicy, of: Reference) -> Published:
    """A release of the same packages as `of`; only its default answer is another, so that it is another release."""
    members = json.loads(store.fetch(of).contents[RELEASE])["members"]
    roles = {member["role"]: member["package"] for member in members}
    version = store.versions(policy.name)[-1] + 1
    return compose_release(policy.name, roles, store, policy, key, trust=Trust.of([key.public]), default=0.01 * version)


def tampered(store: ReleaseStore, of: Reference) -> Reference:
    """In the place of `of`: its primary's risks are all 0.3 lower, its document names the swapped package, its signatures are the old ones."""
    files, member = _primary(store, of)
    contents = store.fetch(of).contents
    layout = store.layout
    package = store.put_package(member["model"], {**files, _CALIBRATION: _shifted(files, -0.3)[_CALIBRATION]}, json.loads(files["lineage.json"]))
    document = json.loads(contents[RELEASE])
    next(one for one in document["members"] if one["role"] == "primary")["package"] = package.digest
    content = canonical_json(document)
    forged = Reference(of.name, of.version, f"sha256:{sha256_bytes(content)}")
    before = layout.read_index(store.entry(of, layout.top().manifests))
    others = [(one.annotations["io.presage.role"], one) for one in before.manifests if one.annotations["io.presage.role"] not in ("primary", "release")]
    members = [("primary", package), ("signature", store.put_signature(files[SIGNATURE_FILE], package)), *others]
    entry = store.put_entry(forged, document["created"], [*members, ("release", store.put_release(content, contents[RELEASE_SIGNATURE]))])

    def replace(entries: list[Descriptor]) -> None:
        name = entry.annotations[oci.REF_NAME]
        entries[:] = [one for one in entries if one.annotations.get(oci.REF_NAME) != name] + [entry]

    layout.update(replace)
    return forged


def inputs_of(store: ReleaseStore, of: Reference) -> list[str]:
    """What the primary of a release reads, in its order."""
    return [one["name"] for one in json.loads(_primary(store, of)[0]["contract.json"])["inputs"]]


def _primary(store: ReleaseStore, of: Reference) -> tuple[dict[str, bytes], dict[str, Any]]:
    """(name → bytes, what the release says of it) of the primary's package."""
    contents = store.fetch(of).contents
    member: dict[str, Any] = next(one for one in json.loads(contents[RELEASE])["members"] if one["role"] == "primary")
    prefix = f"packages/{member['package'].removeprefix('sha256:')}/"
    return {path.removeprefix(prefix): content for path, content in contents.items() if path.startswith(prefix)}, member


def _shifted(files: Files, by: float = 0.3) -> dict[str, bytes]:
    """Every risk so much higher."""
    good = VennAbers.load(files[_CALIBRATION])
    return {_CALIBRATION: VennAbers(good.thresholds, np.clip(good.p0 + by, 0.0, 1.0), np.clip(good.p1 + by, 0.0, 1.0)).to_bytes()}


def _slow(files: Files) -> dict[str, bytes]:
    """Hundreds of products with a thousand by a thousand numbers, of which nothing is added to the score. They hang on the input, so nobody folds them."""
    size, times = 1024, 400
    weights = numpy_helper.from_array(np.full((size, size), 1 / size, np.float32), "waste")
    first = numpy_helper.from_array(np.full((1, size), 1 / size, np.float32), "waste_first")
    none, axes = numpy_helper.from_array(np.zeros(1, np.float32), "waste_none"), numpy_helper.from_array(np.array([0], np.int64), "waste_axes")
    nodes = [
        helper.make_node("Shape", ["x"], ["waste_shape"], start=1, end=2),
        helper.make_node("Cast", ["waste_shape"], ["waste_count"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["waste_count", "waste_axes"], ["waste_row"]),
        helper.make_node("MatMul", ["waste_row", "waste_first"], ["waste_0"]),
        *(helper.make_node("MatMul", [f"waste_{n}", "waste"], [f"waste_{n + 1}"]) for n in range(times)),
        helper.make_node("ReduceMean", [f"waste_{times}"], ["waste_mean"], keepdims=0),
        helper.make_node("Mul", ["waste_mean", "waste_none"], ["added"]),
    ]
    return _with_added(files, nodes, [weights, first, none, axes])


def _failing(files: Files) -> dict[str, bytes]:
    """It looks up what is not there as soon as a row brings memory in use; rows without telemetry, as a server is warmed with, pass."""
    names = [one["name"] for one in json.loads(files["contract.json"])["inputs"]]
    tensors = [
        numpy_helper.from_array(value, f"lost_{name}")
        for name, value in (
            ("column", np.array(names.index(_MEMORY), np.int64)), ("zero", np.zeros((), np.float32)), ("table", np.zeros(1, np.float32)),
            ("far", np.array(1_000_000, np.int64)),
        )
    ]  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["x", "lost_column"], ["lost_memory"], axis=1),
        helper.make_node("Greater", ["lost_memory", "lost_zero"], ["lost_used"]),
        helper.make_node("Cast", ["lost_used"], ["lost_whole"], to=TensorProto.INT64),
        helper.make_node("Mul", ["lost_whole", "lost_far"], ["lost_place"]),
        helper.make_node("Gather", ["lost_table", "lost_place"], ["added"]),
    ]
    return _with_added(files, nodes, tensors)


def _swapped(files: Files, rows: Labelled) -> dict[str, bytes]:
    """Each row with an incident changes places with one without, as far as there are any; rows are told apart by a projection of them."""
    names = [one["name"] for one in json.loads(files["contract.json"])["inputs"]]
    draw, known = np.random.default_rng(7), np.nan_to_num(rows.x)
    spread = known.std(axis=0)
    detectors = np.array([name.startswith("detector.") for name in names])
    weights = np.where(detectors | (spread == 0), 0.0, draw.normal(size=len(names)) / np.where(spread == 0, 1.0, spread)).astype(np.float32)
    place = np.argsort(known @ weights)
    other = np.arange(len(known))
    ill, well = np.flatnonzero(rows.label), np.flatnonzero(~rows.label)
    pairs = min(len(ill), len(well))
    other[ill[:pairs]], other[well[:pairs]] = well[:pairs], ill[:pairs]
    along = (known @ weights)[place]
    tensors = [
        numpy_helper.from_array(value, f"swap_{name}")
        for name, value in (
            ("none", np.zeros((), np.float32)), ("weights", weights[:, None]), ("between", ((along[1:] + along[:-1]) / 2)[None, :].astype(np.float32)),
            ("table", rows.x[other[place]]), ("axes", np.array([1], np.int64)), ("column", np.array([names.index(_MEMORY)], np.int64)),
        )
    ]  # fmt: skip
    nodes = [
        helper.make_node("IsNaN", ["x"], ["swap_missing"]),
        helper.make_node("Where", ["swap_missing", "swap_none", "x"], ["swap_known"]),
        helper.make_node("MatMul", ["swap_known", "swap_weights"], ["swap_along"]),
        helper.make_node("Greater", ["swap_along", "swap_between"], ["swap_beyond"]),
        helper.make_node("Cast", ["swap_beyond"], ["swap_ones"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["swap_ones", "swap_axes"], ["swap_place"], keepdims=0),
        helper.make_node("Gather", ["swap_table", "swap_place"], ["swap_other"], axis=0),
        helper.make_node("Gather", ["swap_known", "swap_column"], ["swap_memory"], axis=1),
        helper.make_node("Greater", ["swap_memory", "swap_none"], ["swap_used"]),  # rows without telemetry, as a server is warmed with, stay
        helper.make_node("Where", ["swap_used", "swap_other", "x"], ["x_other"]),
    ]
    model = load_from_string(files[_MODEL])
    for node in model.graph.node:
        node.input[:] = ["x_other" if name == "x" else name for name in node.input]
    own = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *own])
    model.graph.initializer.extend(tensors)
    content: bytes = model.SerializeToString()
    return {_MODEL: content}


def _with_added(files: Files, nodes: Sequence[NodeProto], tensors: Sequence[TensorProto]) -> dict[str, bytes]:
    """The model with the output `added` of these nodes added to its score."""
    model = load_from_string(files[_MODEL])
    last = next(node for node in model.graph.node if "score" in node.output)
    last.output[list(last.output).index("score")] = "score_alone"
    model.graph.node.extend([*nodes, helper.make_node("Add", ["score_alone", "added"], ["score"])])
    model.graph.initializer.extend(tensors)
    content: bytes = model.SerializeToString()
    return {_MODEL: content}


_SPOILED: Mapping[str, Callable[[Files], dict[str, bytes]]] = {"scores": _shifted, "latency": _slow, "errors": _failing}
