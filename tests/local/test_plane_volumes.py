"""What a Pod's volumes, addresses and settings are on this machine."""

import os
from pathlib import Path

import pytest
from planes import claim, config_map, deployment, manifests, web

from presage.errors import PlaneError, PresageError
from presage.local import down, up
from presage.local.addresses import pod_address


def test_every_address_and_mount_path_is_replaced_and_nothing_else(state, tmp_path):
    objects = [
        claim("kept"),
        config_map("settings", {"greeting": "hello"}),
        deployment(
            containers=[
                web(
                    "import os, pathlib", "said = ' '.join(os.environ[name] for name in ('OUT', 'URL', 'LIKE', 'IP', 'WORD'))",
                    "pathlib.Path(os.environ['OUT']).write_text(said)",
                    env=[
                        {"name": "OUT", "value": "/data/said.txt"}, {"name": "URL", "value": "sqlite:/data/x.db"},
                        {"name": "LIKE", "value": "/database:10.0.0.0"},
                        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                        {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "greeting"}}},
                    ],
                    volumeMounts=[{"name": "data", "mountPath": "/data"}],
                )
            ],
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}],
        ),
    ]
    up(state=state, manifests=manifests(tmp_path, *objects))
    folder = state.plane / "volumes" / "kept"
    said = (folder / "said.txt").read_text().split()
    assert said == [f"{folder}/said.txt", f"sqlite:{folder}/x.db", "/database:10.0.0.0", pod_address(state.root, "presage/web-0"), "hello"]
    assert (folder.stat().st_mode & 0o777, (folder / "said.txt").stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_claim_outlives_down_and_an_empty_dir_does_not(state, tmp_path):
    mounts = [{"name": "kept", "mountPath": "/kept"}, {"name": "scratch", "mountPath": "/scratch"}, {"name": "memory", "mountPath": "/memory"}]
    volumes = [
        {"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}, {"name": "scratch", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
    ]
    script = "import pathlib, sys"
    writes = [f"pathlib.Path('/{name}/file').write_text('{name}')" for name in ("kept", "scratch", "memory")]
    writing = web(script, *writes, volumeMounts=mounts)
    up(state=state, manifests=manifests(tmp_path, claim("kept"), deployment(containers=[writing], volumes=volumes)))
    scratch = state.plane / "pods" / "presage" / "web-0" / "scratch" / "file"
    in_memory = list(Path("/dev/shm").glob(f"presage-{os.getuid()}-*/presage/web-0/memory/file"))
    assert scratch.read_text() == "scratch"
    assert [path.read_text() for path in in_memory] == ["memory"]
    down(state)
    assert (state.plane / "volumes" / "kept" / "file").read_text() == "kept"
    assert not scratch.exists()
    assert not any(path.exists() for path in in_memory)


def test_a_claim_and_a_config_map_can_be_parts_of_the_state(state, tmp_path):
    (state.keys / "other.pub").write_text("a public key")
    (state.releases / "index.json").write_text("{}")
    listing = web(
        "import pathlib", "print(sorted(p.name for f in ('/trust', '/store') for p in pathlib.Path(f).iterdir() if p.name[:2] != '..'), flush=True)",
        volumeMounts=[{"name": "trust", "mountPath": "/trust"}, {"name": "store", "mountPath": "/store"}],
    )
    volumes = [{"name": "trust", "configMap": {"name": "trust"}}, {"name": "store", "persistentVolumeClaim": {"claimName": "store"}}]
    parts = [claim("store", **{"plane.presage/folder": "releases"}), config_map("trust", {}, **{"plane.presage/files": "keys/*.pub"})]
    up(state=state, manifests=manifests(tmp_path, *parts, deployment(containers=[listing], volumes=volumes)))
    assert (state.plane / "logs" / "web.log").read_text().splitlines()[0] == "['index.json', 'local.pub', 'other.pub']"


def test_a_key_that_is_no_text_is_named(state, tmp_path):
    (state.keys / "other.pub").write_bytes(b"\xff\xfe")
    volumes = [{"name": "trust", "configMap": {"name": "trust"}}]
    mounted = web(volumeMounts=[{"name": "trust", "mountPath": "/trust"}])
    parts = [config_map("trust", {}, **{"plane.presage/files": "keys/*.pub"}), deployment(containers=[mounted], volumes=volumes)]
    with pytest.raises(PresageError, match=r"other\.pub: the file of .*trust is no UTF-8 text\. Remove it"):
        up(state=state, manifests=manifests(tmp_path, *parts))


def test_a_part_of_the_state_cannot_lead_out_of_it(state, tmp_path):
    volumes = [{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}]
    parts = [claim("store", **{"plane.presage/folder": "../elsewhere"}), deployment(volumes=volumes)]
    with pytest.raises(PlaneError, match="leads out of the state directory"):
        up(state=state, manifests=manifests(tmp_path, *parts))


def test_a_missing_claim_is_named(state, tmp_path):
    with pytest.raises(PlaneError, match="PersistentVolumeClaim 'gone', which no manifest holds"):
        up(state=state, manifests=manifests(tmp_path, deployment(volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "gone"}}])))
