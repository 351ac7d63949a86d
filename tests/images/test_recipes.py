"""What the recipes say, without building them."""

import re
import sys

import pytest
from needs import NOT_SERVING, needs, packages

from images import base
from images.index import read_settings
from images.podman import _short
from images.recipes import RECIPES, ROOT, revision
from images.sbom import merged
from presage.local.images import OURS


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_dockerfile_names_no_base_no_moving_tag_and_a_user_by_number(recipe):
    lines = [line.strip() for line in recipe.dockerfile.read_text().splitlines()]
    stages = {line.split(" AS ")[1] for line in lines if line.startswith("FROM ") and " AS " in line}
    bases = {line.split()[1] for line in lines if line.startswith("FROM ")}
    assert "ARG BASE" in lines and bases - stages == {"${BASE}"} and not re.search(r":latest\b", recipe.dockerfile.read_text())
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    after = lines[max(index for index, line in enumerate(lines) if line.startswith("FROM ")):]
    assert not [line for line in after if line.startswith(("RUN ", "ADD "))]  # a step there would leave its mounts' places in the image
    assert "--require-hashes" in recipe.dockerfile.read_text()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_pins_are_install_mks(recipe):
    pins = dict(re.findall(r"^(UV_PIN|TORCH) +:= (\S+)$", (ROOT / "install.mk").read_text(), re.MULTILINE))
    arguments = dict(re.findall(r"^ARG (UV|TORCH)=(\S+)$", recipe.dockerfile.read_text(), re.MULTILINE))
    assert arguments == {"UV": pins["UV_PIN"]} | ({"TORCH": pins["TORCH"]} if "TORCH" in arguments else {})


def test_every_image_of_ours_in_a_manifest_or_a_pipeline_is_one_that_is_built():
    tags = {recipe.tag for recipe in RECIPES}
    assert {recipe.name for recipe in RECIPES} == OURS
    folders = [ROOT / name for name in ("manifests/base", "manifests/components", "manifests/rendered/local", "pipelines/compiled")]
    named = {image for folder in folders for path in folder.rglob("*.yaml") for image in re.findall(r"image: (presage/[a-z]+:\S+)", path.read_text())}
    assert named == tags


def test_a_recipes_own_files_and_nothing_else_go_in():
    for recipe in RECIPES:
        assert {"pyproject.toml", "requirements.lock", "presage", "inference", "feature_store"} <= set(recipe.inputs)
        assert not {path for path in recipe.inputs if not (ROOT / path).exists()}
        assert re.fullmatch(r"([0-9a-f]{40}|unknown)(-modified)?", revision(recipe))


@pytest.mark.parametrize(("lines", "url", "links", "options"), [
    ([], None, (), ""),
    (["global.index-url='https://index.example/simple'"], "https://index.example/simple", (), "--index-url https://index.example/simple\n"),
    (["global.index-url='https://a.example'", ":env:.index-url='https://b.example'"], "https://b.example", (), "--index-url https://b.example\n"),
    (["global.find-links='/w https://l.example/'", ":env:.find-links='/w'"], None, ("/w", "https://l.example/"), "--find-links /w\n--find-links https://l.example/\n"),
    ([r"global.find-links='\n/a\n/b'"], None, ("/a", "/b"), "--find-links /a\n--find-links /b\n"),
    (["global.extra-index-url='https://other.example'", "global.timeout='60'"], None, (), ""),
])  # fmt: skip
def test_pips_settings_become_options_of_a_requirements_file(lines, url, links, options):
    index = read_settings(lines)
    assert (index.url, index.links, index.options) == (url, links, options)


def test_only_folders_of_this_machine_are_mounted(tmp_path):
    index = read_settings([f"global.find-links='{tmp_path} /absent https://l.example/'", f"global.index-url='file://{tmp_path}'"])
    assert index.folders == [str(tmp_path)]


def test_the_base_is_named_by_its_recipe(monkeypatch, tmp_path):
    before = base.recipe_digest()
    copied = tmp_path / "base"
    copied.mkdir()
    for path in base.RECIPE.iterdir():
        (copied / path.name).write_text(path.read_text() + "# more\n")
    monkeypatch.setattr(base, "RECIPE", copied)
    assert base.recipe_digest() != before


def test_one_document_of_both_tools_lists_everything_under_the_image():
    debian = {"metadata": {"component": {"bom-ref": "root"}, "tools": {"components": [{"name": "debsbom"}]}}, "components": [{"bom-ref": "b"}],
              "dependencies": [{"ref": "root", "dependsOn": ["b"]}, {"ref": "b"}]}  # fmt: skip
    python = {"metadata": {"tools": {"components": [{"name": "cyclonedx-py"}]}}, "components": [{"bom-ref": "a"}], "dependencies": [{"ref": "a"}]}
    document = merged("presage/serving", "0.1.0", "0" * 64, [debian, python])
    assert [one["ref"] for one in document["dependencies"]] == ["presage/serving", "a", "b"] and document["dependencies"][0]["dependsOn"] == ["a", "b"]
    assert document == merged("presage/serving", "0.1.0", "0" * 64, [debian, python])
    assert document["metadata"]["component"]["type"] == "container"


def test_no_option_of_podmans_that_names_a_place_of_this_machine_is_in_a_sentence():
    assert _short(["build", "--secret=id=index,src=/home/a/index", "--volume=/opt/w:/opt/w", "--tag=x"]) == ["build", "--tag=x"]


def test_what_the_request_path_imports_comes_with_the_image_of_serving():
    """Told from what is installed here, so that no image has to be built to find it."""
    [recipe] = [recipe for recipe in RECIPES if recipe.name == "presage/serving"]
    extras = re.findall(r"--extra (\w+)", recipe.dockerfile.read_text())
    there = packages(ROOT / "pyproject.toml", extras) | sys.stdlib_module_names | {"presage", "inference", "feature_store"}
    assert extras == ["serve"] and {"onnxruntime", "redis", "google"} <= there and not {"mlflow", "sklearn", "pyarrow"} & there
    assert [(where, name) for where, name in needs(ROOT, NOT_SERVING) if name not in there] == []
    assert {where for where, name in needs(ROOT) if name not in there} | {"inference/log/free_text.py"} == {*NOT_SERVING}
