"""What a client keeps for the time when nobody answers: the last answer for each server, and the release's rules.

The file is its owner's alone (0600) and replaced whole. One that others could have written, that is too large or that is no such document is
not read: a wrong memory would be worse than none. Several processes may share it; the last one to write wins.
"""

import os
import stat
from pathlib import Path
from typing import Literal

import msgspec

from presage.client.answers import ModelName, Prediction
from presage.errors import InputError, StateError
from presage.files import write_bytes
from presage.logs import get_logger

LARGEST = 64 << 20  # bytes of the file
_log = get_logger("presage.client")


class Rule(msgspec.Struct, frozen=True):
    """As the release has it: where `feature` is above or below the bound, the risk is at least `risk`."""

    id: str
    feature: str
    above: float | None
    below: float | None
    risk: float


class ContractView(msgspec.Struct, frozen=True):
    name: str
    version: str
    entity: str
    horizon: str
    feature_version: str


class LastRungs(msgspec.Struct, frozen=True):
    """What `GET /api/v2/rules` answers. thresholds: lowest risk of each tier, ascending."""

    model: ModelName
    digest: str
    contract: ContractView
    rules: list[Rule]
    default: float
    thresholds: dict[str, float]


class Kept(msgspec.Struct, frozen=True):
    """at: when it was answered, Unix seconds."""

    at: float
    prediction: Prediction


class _Document(msgspec.Struct):
    schema: Literal["presage.client-memory/v1"] = "presage.client-memory/v1"
    rules: LastRungs | None = None
    answers: dict[str, Kept] = {}


class Memory:
    """path: the file, None = kept as long as the process lives; most: how many servers."""

    def __init__(self, path: Path | None, most: int) -> None:
        self._path, self._most = path, most
        self._document = _Document() if path is None else _read(path)
        self.changed = False

    @property
    def rules(self) -> LastRungs | None:
        return self._document.rules

    def keep_rules(self, rules: LastRungs) -> None:
        if rules != self._document.rules:
            self._document.rules, self.changed = rules, True

    def keep(self, prediction: Prediction, at: float) -> None:
        """The last answer for its server."""
        if prediction.server is None:
            return
        answers = self._document.answers
        answers.pop(prediction.server, None)  # what is new goes to the end
        answers[prediction.server] = Kept(at, prediction)
        while len(answers) > self._most:
            del answers[next(iter(answers))]
        self.changed = True

    def last(self, server: str) -> Kept | None:
        return self._document.answers.get(server)

    def write(self) -> None:
        """Where there is a file and something to write. A disk that refuses is said in the log: it must not cost an answer."""
        if self._path is None or not self.changed:
            return
        self.changed = False
        try:
            write_bytes(self._path, msgspec.json.encode(self._document))
        except (OSError, StateError, InputError) as error:
            _log.warning("the client's memory was not written", path=str(self._path), cause=str(error))


def _read(path: Path) -> _Document:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return _Document()
    except OSError as error:
        return _forgotten(path, error.strerror or "it cannot be read")
    with os.fdopen(descriptor, "rb") as handle:
        about = os.fstat(handle.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
            return _forgotten(path, "it is no file that its owner alone can write and read")
        content = handle.read(LARGEST + 1)
    if len(content) > LARGEST:
        return _forgotten(path, f"it has more than {LARGEST} bytes")
    try:
        return msgspec.json.decode(content, type=_Document)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return _forgotten(path, str(error))


def _forgotten(path: Path, cause: str) -> _Document:
    _log.warning("the client's memory was not read, and begins anew", path=str(path), cause=cause)
    return _Document()
