"""Rendering: one kustomize makes them everywhere, and what is committed is what it makes."""

import subprocess
import sys
from pathlib import Path

import pytest

from presage.errors import InputError, UsageError
from presage.manifests.render import manifests_folder, overlays, render, render_overlay, stale, write_rendered

KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
SPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: here\n"


def overlay_in(folder: Path, kustomization: str = "resources: [namespace.yaml]\n") -> Path:
    place = folder / "overlays" / "local" / "platform"
    place.mkdir(parents=True)
    (place / "kustomization.yaml").write_text(KUSTOMIZATION + kustomization)
    (place / "namespace.yaml").write_text(SPACE)
    return place


@pytest.mark.long
def test_every_committed_manifest_is_current():
    folder = manifests_folder()
    for overlay in overlays(folder):
        assert stale(folder, overlay, render_overlay(folder, overlay)) == []


def test_rendering_twice_gives_the_same_bytes():
    folder = manifests_folder()
    assert render_overlay(folder, "local") == render_overlay(folder, "local")


def test_a_changed_overlay_is_noticed_until_it_is_written(tmp_path):
    place = overlay_in(tmp_path)
    committed = write_rendered(tmp_path, "local", render_overlay(tmp_path, "local"))
    (place / "namespace.yaml").write_text(SPACE.replace("here", "there"))
    rendered = render_overlay(tmp_path, "local")
    assert stale(tmp_path, "local", rendered) == committed
    write_rendered(tmp_path, "local", rendered)
    assert stale(tmp_path, "local", rendered) == []


def test_the_rendering_of_a_removed_application_goes(tmp_path):
    place = overlay_in(tmp_path)
    (gone,) = write_rendered(tmp_path, "local", render_overlay(tmp_path, "local"))
    (place.parent / "streams").mkdir()
    place.rename(place.parent / "streams" / "old")
    (place.parent / "streams" / "kustomization.yaml").write_text(KUSTOMIZATION + "resources: [old]\n")
    write_rendered(tmp_path, "local", render_overlay(tmp_path, "local"))
    assert not gone.exists()


def test_what_kustomize_warns_of_is_refused(tmp_path):
    place = overlay_in(tmp_path, "resources: [namespace.yaml]\ncommonLabels: {team: network}\n")
    with pytest.raises(InputError, match="commonLabels"):
        render(place)


def test_what_kustomize_cannot_build_is_one_sentence(tmp_path):
    place = overlay_in(tmp_path, "resources: [absent.yaml]\n")
    with pytest.raises(InputError, match=r"absent\.yaml"):
        render(place)


def test_an_unknown_overlay_names_those_there_are(tmp_path):
    overlay_in(tmp_path)
    with pytest.raises(UsageError, match="There is: local"):
        render_overlay(tmp_path, "moon")


@pytest.mark.long
def test_the_command_checks_what_is_committed():
    done = subprocess.run([sys.executable, "-m", "presage.cli", "manifests", "render", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
