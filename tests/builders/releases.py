"""Small real releases for tests: a logistic model written as ONNX by hand, its contract, calibration, signature, store.

`LocalKeys` stands for Vault where a test is not about Vault; `World.smuggle` and `seal` make what no honest program makes: signed,
sealed releases whose files nobody checked.
"""

import base64
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import onnx
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from onnx import TensorProto, helper, numpy_helper

from presage.errors import InputError
from presage.features.declaration import BoundView, FeatureView
from presage.files import sha256_bytes
from presage.governance.model_policy import ModelPolicy, load_model_policy
from presage.package.calibration import VennAbers
from presage.package.contract import Contract, InputField, OutputField
from presage.package.gate import admit
from presage.package.keys import SigningKey, Trust, local_key, read_key
from presage.package.package import PackageParts, build_package
from presage.package.publishing import Parcel
from presage.package.release import Package, Release, compose
from presage.package.sealing import KeyWrapper
from presage.package.signing import SIGNATURE_FILE, sign_folder
from presage.package.store import Published, ReleaseStore, StoredPackage

POLICY = Path(__file__).parents[2] / "policies" / "models" / "incident.yaml"
CREATED = "2026-11-22T06:00:00Z"


def policy() -> ModelPolicy:
    return load_model_policy(POLICY)


def view() -> BoundView:
    quarter, hour = timedelta(minutes=15), timedelta(hours=1)
    declared = FeatureView("tiny", "server", timedelta(minutes=5), (quarter, hour), ("mean", "max"), (), ("hour_sin", "hour_cos"), 0, 0.5)
    return declared.bind(["system.cpu.utilization", "system.memory.utilization"])


def contract() -> Contract:
    bound = view()
    outputs = [OutputField("risk", "FP32", [-1], "risk of an incident within the horizon")]
    inputs = [InputField(name, low=-1.0, high=1.0 if "calendar" in name else None) for name in bound.names]
    return Contract("incident", "1.0.0", "feature_row", inputs, outputs, bound.as_document(), bound.version)


def logistic(inputs: int, seed: int = 7) -> onnx.ModelProto:
    """x FP32 [batch, inputs] → score FP32 [batch], NaN imputed with 0."""
    weights = np.random.default_rng(seed).normal(size=(inputs, 1)).astype(np.float32)
    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "x"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["score"]),
    ]
    constants = {"weights": weights, "zero": np.zeros((), np.float32), "axis": np.array([1], np.int64)}
    graph = helper.make_graph(
        nodes,
        "logistic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", inputs])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def calibration(seed: int = 7) -> VennAbers:
    generator = np.random.default_rng(seed)
    scores = generator.random(200)
    return VennAbers.fit(scores, generator.random(200) < scores)


def parts(model: str = "incident", seed: int = 7) -> PackageParts:
    described = contract()
    return PackageParts(
        model=model,
        family="logistic_regression",
        onnx=logistic(len(described.inputs), seed).SerializeToString(deterministic=True),
        contract=described,
        calibration=calibration(seed),
        metrics={"average_precision": 0.5},
        lineage={"created": CREATED, "run_id": "test"},
        card=f"# {model}\n\nA model for tests.\n",
    )


@dataclass(frozen=True)
class World:
    """A key, whom to trust, a store, and one published release of two members."""

    root: Path
    key: SigningKey
    trust: Trust
    store: ReleaseStore
    published: Published

    def package(self, made: PackageParts) -> StoredPackage:
        folder = self.root / "made" / made.model
        build_package(made, folder, self.key)
        return self.store.add(folder, self.trust)

    def publish(self, members: dict[str, PackageParts], by: ModelPolicy | None = None) -> Published:
        stored = {role: self.package(made) for role, made in members.items()}
        return self.store.publish(compose("incident", stored, by or policy(), 0.05), stored, self.key)

    def smuggle(self, changed: Mapping[str, bytes], name: str = "smuggled") -> Published:
        """A release whose one package holds `changed` in place of honest files, which nobody checked; signed by the trusted key all the same."""
        honest = parts().files()
        files = {**honest, **changed}
        folder = self.root / "smuggled" / os.urandom(4).hex() / "incident"
        folder.mkdir(parents=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        sign_folder(folder, self.key)
        bundle = (folder / SIGNATURE_FILE).read_bytes()
        manifest = self.store.put_package("incident", files, orjson.loads(honest["lineage.json"]))
        stored = StoredPackage.of("incident", {**honest, SIGNATURE_FILE: bundle}, manifest, self.store.put_signature(bundle, manifest))
        stored = replace(stored, files={file: sha256_bytes(content) for file, content in files.items()})
        return self.store.publish(compose(name, {"primary": stored}, policy(), 0.05), {"primary": stored}, self.key)

    def pod(self, name: str = "models", triton: bool = False) -> Path:
        """A Pod's model folder, laid out by the gate."""
        admit(self.published.uri, self.root / name, self.store, self.trust, triton=triton)
        return self.root / name


def world(root: Path) -> World:
    key = local_key(root / "keys")
    bare = World(root, key, Trust.open(root / "keys"), ReleaseStore(root / "releases"), None)  # type: ignore[arg-type]
    return replace(bare, published=bare.publish({"primary": parts(), "simpler": parts("incident-simpler", 8)}))


def copied(made: World, root: Path) -> World:
    """The same world elsewhere, to be changed: much faster than another one."""
    shutil.copytree(made.root, root, dirs_exist_ok=True)
    return replace(made, root=root, key=read_key(root / "keys" / "local.key"), trust=Trust.open(root / "keys"), store=ReleaseStore(root / "releases"))


def seal(made: World, published: Published, keys: KeyWrapper) -> ReleaseStore:
    """A sealed copy in a store of its own, made without a look at what is in it."""
    target = ReleaseStore(made.root / "sealed" / os.urandom(4).hex())
    fetched = made.store.fetch(published.reference)
    members = {
        member.role: Package(member, contract(), {name: fetched.contents[f"packages/{member.hex}/{name}"] for name in member.files})
        for member in published.document.members
    }
    release = Release(published.document, str(published.reference.digest), made.key.public, members)
    entry = Parcel(made.store, target, fetched, release, None).send(published.reference, keys)
    target.layout.update(lambda entries: entries.append(entry))
    return target


@dataclass(frozen=True)
class LocalKeys:
    """Data keys wrapped by a key of this process, in Vault's form: for tests that are not about Vault."""

    key: bytes = field(default_factory=lambda: os.urandom(32))

    def data_key(self) -> tuple[bytes, str]:
        plain, nonce = os.urandom(32), os.urandom(12)
        return plain, "vault:v1:" + base64.b64encode(nonce + AESGCM(self.key).encrypt(nonce, plain, None)).decode()

    def unwrap(self, wrapped: str) -> bytes:
        blob = base64.b64decode(wrapped.removeprefix("vault:v1:"))
        try:
            return AESGCM(self.key).decrypt(blob[:12], blob[12:], None)
        except InvalidTag:
            raise InputError("the wrapped key is none of mine. Bring the right one.") from None

    def rewrap(self, wrapped: str) -> str:
        return wrapped
