"""The overlay that the plane runs, as it is committed, is honoured."""

import pytest
from mesh_tokens import Issuer

from presage.local.mesh import read_mesh
from presage.manifests.objects import parse_objects
from presage.manifests.render import manifests_folder

_SAID = ("Sidecar: ", "DestinationRule for ")  # that of InferenceServices' Services, which the expander makes


@pytest.fixture
def objects():
    rendered = sorted((manifests_folder() / "rendered" / "local").glob("*/manifest.yaml"))
    return [found for path in rendered for found in parse_objects(path.read_bytes(), str(path))]


def test_every_policy_of_overlay_local_is_read_and_nothing_of_the_mesh_is_left_out(objects, tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "issuer.jwks").write_text(Issuer().keys)
    notes: list[str] = []
    mesh = read_mesh(objects, lambda text, who: notes.append(text), tmp_path)
    assert [note for note in notes if not note.startswith(_SAID)] == []
    [gateway] = mesh.gateways.values()
    assert all(listener.mutual for listener in gateway.listeners)
    assert mesh.policies
    assert mesh.tokens
    assert len(mesh.limits) == 1
