"""What is in the images, what is not, and that the same inputs make the same bytes."""

import json
import re
import socket
import subprocess
from pathlib import Path

import needs
import pytest

from images.index import machine_index
from images.podman import CONFINED
from images.recipes import RECIPES, ROOT, build, version
from images.sbom import write_sbom
from presage.local.images import IMAGE_ENVIRONMENT

pytestmark = pytest.mark.images
TRAINING_LIBRARIES = (
    "sklearn", "lightgbm", "xgboost", "torch", "shap", "kfp", "feast", "mlflow", "evidently", "pandas", "onnx", "scipy", "components", "pipelines",
)  # fmt: skip
NO_PROGRAM = ("gcc", "cc", "c++", "ld", "as", "make", "pip", "pip3", "uv", "apt-get", "git", "curl", "wget")


def run(made, name, code, *options):
    """What Python prints in a container of the built image, confined."""
    image = f"localhost/{name}:{version()}"
    return made.builder("run", "--rm", "--network=none", *CONFINED, *options, image, "python", "-c", code)


def distributions(made, name):
    """Python packages of an image: normal name → version."""
    code = "import json, importlib.metadata as m; print(json.dumps([(d.name, d.version) for d in m.distributions()]))"
    return {normal(found): number for found, number in json.loads(run(made, name, code))}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(params=[recipe.name for recipe in RECIPES])
def name(request):
    return request.param


def test_the_user_is_a_number_and_the_environment_what_the_plane_sets(made, name):
    known = made.builder.image(f"localhost/{name}:{version()}")
    user = known["Config"]["User"]
    assert user == "10001:10001"  # runAsNonRoot is checked against a number only
    environment = dict(line.split("=", 1) for line in known["Config"]["Env"])
    assert environment.pop("PATH").startswith("/opt/presage/") and environment == IMAGE_ENVIRONMENT


def test_labels_say_what_it_is_and_from_which_commit(made, name):
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in made.builder.image(f"localhost/{name}:{version()}")["Labels"].items()}
    assert (labels["title"], labels["version"], labels["licenses"]) == (name, version(), "Apache-2.0") and labels["description"]
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    assert len(labels["revision"].removesuffix("-modified")) == (len(commit) or len("unknown"))


def test_no_training_library_is_in_serving(made):
    found = run(made, "presage/serving", f"import importlib.util as u; print([name for name in {TRAINING_LIBRARIES!r} if u.find_spec(name)])")
    assert found.strip() == "[]"


def asked_for_absent(left_out):
    return f"{Path(needs.__file__).read_text()}\nprint(absent(Path('/opt/presage/code'), {list(left_out)!r}))"


def test_nothing_that_the_request_path_imports_sooner_or_later_is_missing(made):
    """Imports inside functions too: they fail when they are needed, not at start."""
    assert run(made, "presage/serving", asked_for_absent(needs.NOT_SERVING)).strip() == "[]"


def test_what_serving_leaves_to_jobs_is_in_the_image_of_jobs(made):
    assert run(made, "presage/training", asked_for_absent(["inference/triton/twin.py"])).strip() == "[]"


def test_no_compiler_installer_or_download_program_is_in_either(made, name):
    code = f"import shutil, importlib.util as u; print([one for one in {NO_PROGRAM!r} if shutil.which(one)], u.find_spec('pip'))"
    assert run(made, name, code).strip() == "[] None"


def test_no_cache_and_nothing_of_this_machine_is_left_behind(made, name):
    """Neither its folders, its name nor where it finds packages, in any file outside the libraries, nor in what they note of their origin."""
    index = machine_index()
    words = {str(ROOT), str(Path.home()), socket.gethostname(), *index.links, *([index.url] if index.url else [])}
    words = [word for word in words if len(word) > 4 and word not in ("/root", "localhost")]
    image = f"localhost/{name}:{version()}"
    root = Path(made.builder("image", "mount", image).strip())
    try:
        code = root / "opt/presage/code"
        origins = ("direct_url.json", "uv_cache.json")
        noted = [path for path in (root / "opt/presage").rglob("*.dist-info/*") if path.name in (*origins, "RECORD")]
        files = [path for folder in (root / "etc", code, root / "root", root / "var/lib/dpkg/info") for path in folder.rglob("*")]
        found = {
            (str(path.relative_to(root)), word)
            for path in [*files, *noted, *(root / "opt/presage/venv").glob("*")] if path.is_file() and not path.is_symlink()
            for word in words if word.encode() in path.read_bytes()
        }  # fmt: skip
        assert found == set() and not [path for path in noted if path.name in origins]
        assert not [place for place in ("root/.cache", "uv", "build", "run/secrets", *(link.lstrip("/") for link in index.folders)) if (root / place).exists()]
    finally:
        made.builder("image", "umount", image)


def test_every_python_package_is_the_locks(made, name):
    """Installed with --require-hashes; torch alone is not in the lock."""
    installed = distributions(made, name)
    lines = [line.split(" ")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line and not line.startswith((" ", "#"))]
    locked = {normal(key.partition("[")[0]): value for key, value in (line.split("==") for line in lines)}
    assert installed.pop("presage") == version() and installed.pop("torch", "2.13.0").startswith("2.13.0")
    assert {key: value for key, value in installed.items() if locked.get(key) != value} == {}


def test_modules_are_compiled_for_a_root_that_is_read_only(made, name):
    """pycs that are never stale: no start compiles a library again."""
    code = (
        "import importlib.util as u, json, numpy, presage.errors\n"
        "flags = lambda module: int.from_bytes(open(u.cache_from_source(module.__file__), 'rb').read(8)[4:], 'little')\n"
        "print([flags(module) for module in (json, numpy, presage.errors)])"
    )
    assert run(made, name, code).strip() == "[1, 1, 1]"  # by hash, not checked


def test_the_sbom_names_every_package_and_follows_the_schema(made, name):
    """write_sbom has the document checked by CycloneDX's own validator; here it is compared with what the image says of itself."""
    document = json.loads(Path(made.images[name]["sbom"]).read_text())
    listed = {(one["purl"].split("/")[0], normal(one["name"]), one["version"]) for one in document["components"]}
    assert {("pkg:pypi", *one) for one in distributions(made, name).items()} <= listed
    debian = made.builder("run", "--rm", "--network=none", *CONFINED, f"localhost/{name}:{version()}", "dpkg-query", "-W", "-f", "${Package} ${Version}\n")
    packages = {("pkg:deb", normal(package), number) for package, number in (line.split() for line in debian.splitlines())}
    assert packages <= listed and len(packages) > 50
    assert document["metadata"]["component"]["hashes"][0]["content"] == made.images[name]["id"]


def test_the_same_inputs_make_the_same_digest_and_the_same_sbom(made, tmp_path):
    [recipe] = [recipe for recipe in RECIPES if recipe.name == "presage/serving"]
    again = build(made.builder, recipe, made.base, cached=False)
    made.builder("image", "prune", "--force")
    assert made.builder.image(again)["Id"] == made.images[recipe.name]["id"]
    assert made.registry.push(made.builder, again, recipe.tag) == made.images[recipe.name]["digest"]
    write_sbom(made.builder, again, ROOT / ".venv" / "sbom", tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == Path(made.images[recipe.name]["sbom"]).read_bytes()
