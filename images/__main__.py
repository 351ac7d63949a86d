"""`python -m images`: build the base, both images and their SBOMs, try each, push them to a registry of this machine, print digests.

    python -m images [--base IMAGE@sha256:…] [--folder build/images] [--sbom-tools .venv/sbom]
    python -m images --remove

The last line on stdout is JSON: {"base", "images": [{"name", "tag", "digest", "id", "bytes", "sbom", "seconds"}]}; progress goes to stderr.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from images import ImageError, programs
from images.base import base_image
from images.podman import CONFINED, Podman
from images.recipes import RECIPES, ROOT, Recipe, build
from images.registry import Registry
from images.sbom import write_sbom


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 pushed, 1 with a sentence where something failed."""
    parser = argparse.ArgumentParser(prog="python -m images", allow_abbrev=False)
    parser.add_argument("--base", help="the image to build on, by digest (default: one made of Debian packages)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "images", help="where everything made here lies")
    parser.add_argument("--sbom-tools", type=Path, default=ROOT / ".venv" / "sbom", help="the environment of images/sbom.lock")
    parser.add_argument("--remove", action="store_true", help="remove all of it")
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    try:
        if options.remove:
            Podman(folder).remove()
            return 0
        made = make(folder, options.sbom_tools.resolve(), options.base)
    except ImageError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    (folder / "images.json").write_bytes(made)
    print(made.decode())
    return 0


def make(folder: Path, tools: Path, base: str | None = None) -> bytes:
    """Everything, in order; the JSON document."""
    programs.require()
    if base is not None and "@sha256:" not in base:
        raise ImageError(f"--base {base} names no digest. Write IMAGE@sha256:…: a tag may be another image tomorrow.")
    podman = Podman(folder)
    if base is None:
        _say("base: Debian packages")
        base = base_image(podman)
    elif not podman.has(base):
        _say(f"base: {base}")
        podman("pull", "--quiet", base)
    try:
        with Registry.start(folder / "registry") as registry, ThreadPoolExecutor(len(RECIPES)) as pool:
            made = list(pool.map(lambda recipe: _make_one(podman, registry, recipe, base, tools), RECIPES))
    finally:
        podman("image", "prune", "--force")  # stages of each build are gigabytes
    return orjson.dumps({"base": base, "images": made})


def _make_one(podman: Podman, registry: Registry, recipe: Recipe, base: str, tools: Path) -> dict[str, Any]:
    began = time.monotonic()
    _say(f"{recipe.tag}: building on {base}")
    image = build(podman, recipe, base)
    try_out(podman, recipe, image)
    sbom = podman.folder / f"{recipe.name.rpartition('/')[2]}.cdx.json"
    write_sbom(podman, image, tools, sbom)
    digest = registry.push(podman, image, recipe.tag)
    known = podman.image(image)
    seconds = round(time.monotonic() - began, 1)
    _say(f"{recipe.tag}: {digest}, {known['Size'] / 2**20:.0f} MiB unpacked, {seconds} s, {sbom.name}")
    return {"name": recipe.name, "tag": recipe.tag, "digest": digest, "id": known["Id"], "bytes": known["Size"], "sbom": str(sbom), "seconds": seconds}


def try_out(podman: Podman, recipe: Recipe, image: str) -> None:
    """Import what the image is for, in a container as confined as a Pod's. Raises ImageError with what fails."""
    podman("run", "--rm", "--network=none", "--tmpfs=/tmp:rw,mode=1777", *CONFINED, image, "python", "-c", f"import {', '.join(recipe.modules)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
