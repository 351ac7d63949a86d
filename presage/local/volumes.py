"""Where a Pod's volumes lie on this machine.

    PersistentVolumeClaim   plane/volumes/<claim>/, kept by `down`; with the annotation plane.presage/folder: that folder of the state
    emptyDir                plane/pods/<namespace>/<pod>/<volume>/, gone with the Pod; medium Memory: below /dev/shm
    ConfigMap               plane/pods/<namespace>/<pod>/<volume>/, one file a key
    Secret, token           the same, always below /dev/shm: no secret reaches a disk

A ConfigMap that a foreign program reads (OpenBao's settings) is rewritten as its arguments are: mount paths, 0.0.0.0, 127.0.0.1.
Files of ConfigMaps, Secrets and tokens are swapped all at once, as a kubelet does (`..data` is a link to the present set), so that a
program that re-reads them never sees a key beside another's certificate.
"""

import hashlib
import os
import secrets as randomness
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from presage.errors import PlaneError
from presage.files import read_text
from presage.local.pods import FileSource, Pod, Volume
from presage.manifests.objects import Manifest, label

FOLDER, FILES, PORTS = "plane.presage/folder", "plane.presage/files", "plane.presage/ports"
Token = Callable[[Pod, str, int], str]
SecretData = Callable[[str, str], Mapping[str, bytes] | None]
Rewrite = Callable[[str], str]
_PRESENT = "..data"


class Volumes:
    """The claims, ConfigMaps and Secrets among `objects`, and the folders that stand for them under the state directory `root`.

    secret: a Secret's data by namespace and name, None while it is not there yet. token: a service account token for a Pod.
    """

    def __init__(self, root: Path, objects: list[Manifest], secret: SecretData, token: Token) -> None:
        self._root = root
        self._secret = secret
        self._token = token
        self._renew: dict[Path, float] = {}  # when the tokens of a volume want to be written anew
        self.replace(objects)

    def replace(self, objects: list[Manifest]) -> None:
        """Other objects from now on (`presage apply`)."""
        self._objects = {(found["kind"], found["metadata"].get("namespace", "default"), found["metadata"]["name"]): found for found in objects}

    def missing(self, pod: Pod) -> str | None:
        """What the Pod cannot start without and is not there yet, in words; None where nothing is missing."""
        wanted = [source for volume in pod.volumes for source in volume.files if source.kind == "Secret" and not source.optional]
        names = {source.name for source in wanted} | {
            name for container in (*pod.init_containers, *pod.containers)
            for name in (*(found for kind, found in container.sources if kind == "Secret"), *(variable.secret for variable in container.env if variable.secret))
        }  # fmt: skip
        absent = sorted(name for name in names if self._secret(pod.namespace, name) is None)
        return f"Secret {', '.join(absent)} is not there yet" if absent else None

    def folders(self, pod: Pod) -> dict[str, Path]:
        """Each volume's folder, by its name; none is made."""
        return {volume.name: self._folder(pod, volume) for volume in pod.volumes}

    def show(self, pod: Pod, rewrite: Rewrite | None = None) -> None:
        """Make every volume, and write anew what changed since: ConfigMaps, Secrets, tokens that have used up half their time.

        rewrite: of ConfigMaps' text. What an emptyDir holds is kept (also from before, for a Pod that outlived its supervisor).
        """
        for volume in pod.volumes:
            folder = private(self._folder(pod, volume))
            if volume.kind == "files":
                self._show(pod, volume, folder, rewrite)

    def config_map(self, namespace: str, name: str) -> dict[str, str]:
        """The data of one ConfigMap, as text by key; files of the state that it names are read now."""
        manifest = self._find("ConfigMap", namespace, name)
        data = {str(key): str(value) for key, value in (manifest.get("data") or {}).items()}
        if manifest.get("binaryData"):
            raise PlaneError(f"{label(manifest)}: binaryData cannot be mounted here. Use data.")
        pattern = annotation(manifest, FILES)
        for path in sorted(self._root.glob(pattern)) if pattern else []:
            data[path.name] = read_text(path, f"file of {label(manifest)}", "Remove it, or write it again.")
        for key in filter(None, annotation(manifest, PORTS).split(",")):
            data[key] = str(own_port(self._root, f"{namespace}/{name}/{key}"))
        return data

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """The data of one Secret. Raises PlaneError where it is not there yet."""
        data = self._secret(namespace, name)
        if data is None:
            raise PlaneError(f"Secret {namespace}/{name} is not there yet. `presage status` says what it waits for.")
        return data

    def claim(self, namespace: str, name: str) -> Path:
        """The folder that stands for a PersistentVolumeClaim; it is not made here."""
        inside = annotation(self._find("PersistentVolumeClaim", namespace, name), FOLDER)
        return self._root / inside if inside else self._root / "plane" / "volumes" / name

    def discard(self, pod: Pod) -> None:
        """The Pod is gone: so are its emptyDirs, and its copies of Secrets."""
        for folder in (self._pod_folder(pod), self._memory_folder(pod)):
            shutil.rmtree(folder, ignore_errors=True)
            self._renew = {path: at for path, at in self._renew.items() if folder not in path.parents}

    def working_folder(self, pod: Pod) -> Path:
        """Where the Pod's programs start."""
        return private(self._pod_folder(pod))

    def uid(self, pod: Pod) -> str:
        """The Pod's identity: drawn once in its life, and as hard to guess as in a cluster."""
        path = self.own_folder(pod, "identity-of-pod", memory=True) / "uid"
        if not path.is_file():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
                handle.write(str(uuid.uuid4()))
        return path.read_text()

    def own_folder(self, pod: Pod, name: str, memory: bool = False) -> Path:
        """A folder of the plane's own beside the Pod's volumes (its proxy's configuration, its certificate)."""
        return private((self._memory_folder(pod) if memory else self._pod_folder(pod)) / f".{name}")

    def _folder(self, pod: Pod, volume: Volume) -> Path:
        if volume.kind == "persistentVolumeClaim":
            return self.claim(pod.namespace, volume.claim)
        return (self._memory_folder(pod) if volume.memory or volume.secret else self._pod_folder(pod)) / volume.name

    def _show(self, pod: Pod, volume: Volume, folder: Path, rewrite: Rewrite | None) -> None:
        content: dict[str, bytes] = {}
        for source in volume.files:
            content |= self._read(pod, source, rewrite)
        renew = self._renew.get(folder, 0.0)
        if volume.tokens and time.time() >= renew:
            content |= {source.path: self._token(pod, source.audience, source.seconds).encode() for source in volume.tokens}
            self._renew[folder] = time.time() + 0.5 * min(source.seconds for source in volume.tokens)
        elif volume.tokens:
            content |= {source.path: (folder / source.path).read_bytes() for source in volume.tokens}
        swap(folder, content)

    def _read(self, pod: Pod, source: FileSource, rewrite: Rewrite | None) -> dict[str, bytes]:
        if source.kind == "ConfigMap":
            if source.optional and ("ConfigMap", pod.namespace, source.name) not in self._objects:
                return {}
            texts = self.config_map(pod.namespace, source.name)
            data: Mapping[str, bytes] = {key: (rewrite(text) if rewrite else text).encode() for key, text in texts.items()}
        else:
            found = self._secret(pod.namespace, source.name)
            data = self.secret(pod.namespace, source.name) if found is None and not source.optional else found or {}
        if not source.items:
            return dict(data)
        for key, _ in source.items:
            if key not in data and not source.optional:
                has = ", ".join(sorted(data)) or "none"
                raise PlaneError(f"Pod {pod.key} mounts key {key!r} of {source.kind} {source.name}, which has: {has}. Name one of those.")
        return {path: data[key] for key, path in source.items if key in data}

    def _pod_folder(self, pod: Pod) -> Path:
        return self._root / "plane" / "pods" / pod.namespace / pod.name

    def _memory_folder(self, pod: Pod) -> Path:
        return memory_folder(self._root) / pod.namespace / pod.name

    def _find(self, kind: str, namespace: str, name: str) -> Manifest:
        found = self._objects.get((kind, namespace, name))
        if found is None:
            raise PlaneError(f"a Pod in namespace {namespace} uses {kind} {name!r}, which no manifest holds. Add it to an application of the overlay.")
        return found


def own_port(root: Path, name: str) -> int:
    """A port of this plane for `name`, the same at each start: for programs that meet at a place named after a port, wherever they listen."""
    digest = hashlib.sha256(f"{root.resolve()}\n{name}".encode()).digest()
    return 20000 + int.from_bytes(digest[:4], "big") % 12000  # below the ports that systems give to outgoing connections


def swap(folder: Path, content: Mapping[str, bytes]) -> bool:
    """Make `folder` show exactly these files, all at once; whether anything changed."""
    present = folder / _PRESENT
    if present.is_symlink() and _same(present.resolve(), content):
        return False
    fresh = folder / f"..{randomness.token_hex(6)}"
    fresh.mkdir(mode=0o700)
    for name, data in content.items():
        path = fresh / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(data)
    before = present.resolve() if present.is_symlink() else None
    link = folder / f"..link-{randomness.token_hex(6)}"
    link.symlink_to(fresh.name)
    link.replace(present)
    tops = {PurePosixPath(name).parts[0] for name in content}
    for top in tops:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(f"{_PRESENT}/{top}")
    for entry in folder.iterdir():
        if entry.is_symlink() and entry.name != _PRESENT and entry.name not in tops:
            entry.unlink()
    if before is not None and before.parent == folder.resolve():
        shutil.rmtree(before, ignore_errors=True)
    return True


def _same(folder: Path, content: Mapping[str, bytes]) -> bool:
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return there.keys() == content.keys() and all(there[name].read_bytes() == data for name, data in content.items())


def free_memory(root: Path) -> None:
    """Give back what the memory-backed volumes of a stopped plane hold, also those that a killed supervisor left."""
    shutil.rmtree(memory_folder(root), ignore_errors=True)


def memory_folder(root: Path) -> Path:
    """The plane's folder on a memory file system; in the state directory where this system has none."""
    digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    shared = Path("/dev/shm")  # noqa: S108 - ours is made 0700 below it
    return shared / f"presage-{os.getuid()}-{digest}" if shared.is_dir() else root / "plane" / "memory"


def annotation(manifest: Manifest, name: str) -> str:
    """The annotation's value, which must stay inside the state directory."""
    value = str((manifest["metadata"].get("annotations") or {}).get(name, ""))
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise PlaneError(f"{label(manifest)}: {name} is {value!r}, which leads out of the state directory. Name a folder inside it.")
    return value


def private(folder: Path) -> Path:
    """`folder`, made with all its parents readable by their owner only (the umask may say otherwise)."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PlaneError(f"{folder} is a link or belongs to somebody else. Remove it, or use another state directory.")
    return folder
