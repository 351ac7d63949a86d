"""A store that somebody else can write to gives nothing away: moved tags, forged manifests and blobs are refused by the gate."""

import json
from pathlib import Path

import msgspec
import pytest
from builders.releases import World, parts, world

from presage.errors import ArtifactRefused
from presage.files import canonical_json
from presage.package import oci
from presage.package.fetching import FILE_PATH, MODEL
from presage.package.gate import admit
from presage.package.layout import RELEASE
from presage.package.oci import Descriptor, Index, Manifest
from presage.package.store import ReleaseStore


@pytest.fixture
def made(tmp_path) -> World:
    return world(tmp_path)


def refusal(made: World, uri: str | None = None, allow_local: bool = False) -> str:
    target = made.root / "models"
    target.mkdir(exist_ok=True)
    (target / RELEASE).write_text("what lay here before")
    with pytest.raises(ArtifactRefused) as refused:
        admit(uri or made.published.uri, target, made.store, made.trust, allow_local=allow_local)
    assert list(target.iterdir()) == []
    return refused.value.reason


def edit_index(made: World, edit) -> None:
    path = made.root / "releases" / "index.json"
    document = json.loads(path.read_bytes())
    edit(document["manifests"])
    path.write_bytes(canonical_json(document))


def forge(made: World, edit) -> None:
    """Rewrite the first model manifest of the release, and everything that names it by digest."""
    layout = made.store.layout
    top = layout.top()
    index = layout.read_index(top.manifests[0])

    def rewritten(descriptor: Descriptor) -> Descriptor:
        manifest = layout.read_manifest(descriptor)
        if manifest.artifact_type != MODEL or descriptor.annotations.get("io.presage.role") != "primary":
            return descriptor
        return layout.put_document(edit(manifest), oci.MANIFEST, annotations=descriptor.annotations)

    forged = layout.put_document(Index([rewritten(one) for one in index.manifests], index.artifact_type), oci.INDEX)

    def replace(entries: list[Descriptor]) -> None:
        entries[0] = msgspec.structs.replace(forged, annotations=top.manifests[0].annotations)

    layout.update(replace)


def with_layer(manifest: Manifest, name: str, **changes) -> Manifest:
    layers = [msgspec.structs.replace(layer, **changes) if layer.annotations[FILE_PATH] == name else layer for layer in manifest.layers]
    return msgspec.structs.replace(manifest, layers=layers)


def blob(made: World, digest: str) -> Path:
    return made.root / "releases" / made.store.layout.key(digest)


def test_a_tag_moved_back_to_an_older_release_is_seen(made):
    second = made.publish({"primary": parts(seed=9)})

    def roll_back(entries):
        entries[1] |= {key: entries[0][key] for key in ("digest", "size")}

    edit_index(made, roll_back)
    assert refusal(made, second.uri) == "digest"
    assert refusal(made, "presage://incident:local", allow_local=True) == "digest"


def test_a_tag_moved_back_with_all_its_annotations_is_seen(made):
    second = made.publish({"primary": parts(seed=9)})

    def roll_back(entries):
        entries[1] |= {key: entries[0][key] for key in ("digest", "size")}
        entries[1]["annotations"]["io.presage.release.digest"] = entries[0]["annotations"]["io.presage.release.digest"]

    edit_index(made, roll_back)
    assert refusal(made, second.uri) == "digest"
    assert refusal(made, "presage://incident:local", allow_local=True) == "digest"


def test_one_name_for_two_releases_is_refused(made):
    edit_index(made, lambda entries: entries.append(entries[0]))
    assert refusal(made) == "digest"


def test_another_digest_than_asked_for_is_refused(made):
    assert refusal(made, made.published.uri[:-4] + "0000") == "digest"


@pytest.mark.parametrize("name", ["../../../etc/cron.d/job", "/etc/passwd", "model.pkl", "triton/x/1/model.onnx", "", "release.json"])
def test_a_layer_that_names_another_place_is_refused(made, name):
    forge(made, lambda manifest: with_layer(manifest, "card.md", annotations={FILE_PATH: name}))
    assert refusal(made) == "format"


@pytest.mark.parametrize("media_type", [
    "application/vnd.cncf.model.weight.v1.tar+gzip",
    "application/vnd.cncf.model.code.v1.raw", "application/vnd.oci.image.layer.v1.tar", "application/octet-stream",
])
def test_an_archive_or_code_layer_is_refused(made, media_type):
    forge(made, lambda manifest: with_layer(manifest, "model.onnx", media_type=media_type))
    assert refusal(made) == "format"


def test_a_layer_that_announces_too_much_is_refused_unread(made):
    forge(made, lambda manifest: with_layer(manifest, "card.md", size=1 << 40))
    assert refusal(made) == "size"


def test_the_same_file_twice_is_refused(made):
    forge(made, lambda manifest: msgspec.structs.replace(manifest, layers=[*manifest.layers, manifest.layers[0]]))
    assert refusal(made) == "format"


def test_a_forged_manifest_is_another_package_though_its_files_are_the_same(made):
    forge(made, lambda manifest: msgspec.structs.replace(manifest, annotations={"note": "mine"}))
    assert refusal(made) in {"signature", "file-digest"}


@pytest.mark.parametrize("change", ["flip", "cut", "grow", "link", "remove"])
def test_a_changed_blob_is_refused(made, change, tmp_path):
    digest = made.published.document.members[0].files["model.onnx"]
    path = blob(made, f"sha256:{digest}")
    content = path.read_bytes()
    path.unlink()
    match change:
        case "flip":
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "cut":
            path.write_bytes(content[:-1])
        case "grow":
            path.write_bytes(content + b"\0")
        case "link":
            (tmp_path / "elsewhere").write_bytes(content)
            path.symlink_to(tmp_path / "elsewhere")
    assert refusal(made) in {"digest", "format"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"manifests":{}}', b'{"schemaVersion":2,"manifests":[{}]}', b"\x80\x04.", b'{"a":' * 100_000])
def test_a_broken_index_is_refused(made, content):
    (made.root / "releases" / "index.json").write_bytes(content)
    assert refusal(made) in {"format", "digest"}


def test_a_store_that_is_not_there_is_refused(made, tmp_path):
    with pytest.raises(ArtifactRefused):
        admit(made.published.uri, tmp_path / "m", ReleaseStore(tmp_path / "absent"), made.trust)
