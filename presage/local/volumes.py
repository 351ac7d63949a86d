"""Where a Pod's volumes lie on this machine.

    PersistentVolumeClaim   plane/volumes/<claim>/, kept by `down`; with the annotation plane.presage/folder: that folder of the state
    emptyDir                plane/pods/<pod>/<volume>/, gone with the Pod; medium Memory: below /dev/shm
    ConfigMap               plane/pods/<pod>/<volume>/, one file a key; with plane.presage/files: files of the state too (a glob)
"""

import hashlib
import os
import shutil
from pathlib import Path, PurePosixPath

from presage.errors import PlaneError
from presage.files import read_text, written_aside
from presage.local.pods import Pod, Volume
from presage.manifests.objects import Manifest, label

FOLDER, FILES = "plane.presage/folder", "plane.presage/files"


class Volumes:
    """The claims and ConfigMaps among `objects`, and the folders that stand for them under the state directory `root`."""

    def __init__(self, root: Path, objects: list[Manifest]) -> None:
        self._root = root
        self._objects = {(found["kind"], found["metadata"].get("namespace", "default"), found["metadata"]["name"]): found for found in objects}

    def prepare(self, pod: Pod) -> dict[str, Path]:
        """Make every volume of `pod`; its folders by volume name. What an emptyDir holds from before is kept (a Pod that outlived its supervisor)."""
        return {volume.name: self._prepare(pod, volume) for volume in pod.volumes}

    def config_map(self, namespace: str, name: str) -> dict[str, str]:
        """The data of one ConfigMap, as text by key; files of the state that it names are read now."""
        manifest = self._find("ConfigMap", namespace, name)
        data = {str(key): str(value) for key, value in (manifest.get("data") or {}).items()}
        if manifest.get("binaryData"):
            raise PlaneError(f"{label(manifest)}: binaryData cannot be mounted here. Use data.")
        pattern = _annotation(manifest, FILES)
        for path in sorted(self._root.glob(pattern)) if pattern else []:
            data[path.name] = read_text(path, f"file of {label(manifest)}", "Remove it, or write it again.")
        return data

    def claim(self, namespace: str, name: str) -> Path:
        """The folder that stands for a PersistentVolumeClaim; it is not made here."""
        inside = _annotation(self._find("PersistentVolumeClaim", namespace, name), FOLDER)
        return self._root / inside if inside else self._root / "plane" / "volumes" / name

    def discard(self, pod: Pod) -> None:
        """The Pod is gone: so are its emptyDirs."""
        for folder in (self._pod_folder(pod), self._memory_folder(pod)):
            shutil.rmtree(folder, ignore_errors=True)

    def working_folder(self, pod: Pod) -> Path:
        """Where the Pod's programs start."""
        return _private(self._pod_folder(pod))

    def _prepare(self, pod: Pod, volume: Volume) -> Path:
        if volume.kind == "persistentVolumeClaim":
            return _private(self.claim(pod.namespace, volume.source))
        if volume.kind == "configMap":
            folder = self._pod_folder(pod) / volume.name
            with written_aside(folder) as aside:
                aside.mkdir(mode=0o700)
                for key, text in self.config_map(pod.namespace, volume.source).items():
                    (aside / key).write_text(text)
            return folder
        in_memory = volume.source == "Memory" and Path("/dev/shm").is_dir()  # noqa: S108 - made 0700, below a name of ours
        return _private((self._memory_folder(pod) if in_memory else self._pod_folder(pod)) / volume.name)

    def _pod_folder(self, pod: Pod) -> Path:
        return self._root / "plane" / "pods" / pod.name

    def _memory_folder(self, pod: Pod) -> Path:
        return _memory_of(self._root) / pod.name

    def _find(self, kind: str, namespace: str, name: str) -> Manifest:
        found = self._objects.get((kind, namespace, name))
        if found is None:
            raise PlaneError(f"a Pod in namespace {namespace} uses {kind} {name!r}, which no manifest holds. Add it to an application of the overlay.")
        return found


def free_memory(root: Path) -> None:
    """Give back what the memory-backed volumes of a stopped plane hold, also those that a killed supervisor left."""
    shutil.rmtree(_memory_of(root), ignore_errors=True)


def _memory_of(root: Path) -> Path:
    digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return Path("/dev/shm") / f"presage-{os.getuid()}-{digest}"  # noqa: S108


def _annotation(manifest: Manifest, name: str) -> str:
    """The annotation's value, which must stay inside the state directory."""
    value = str((manifest["metadata"].get("annotations") or {}).get(name, ""))
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise PlaneError(f"{label(manifest)}: {name} is {value!r}, which leads out of the state directory. Name a folder inside it.")
    return value


def _private(folder: Path) -> Path:
    """`folder`, made with all its parents readable by their owner only (the umask may say otherwise)."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PlaneError(f"{folder} is a link or belongs to somebody else. Remove it, or use another state directory.")
    return folder
