"""The prediction log: its files, each of one model, day and region. They go whole; a row of them never goes alone.

What a file holds is the log's own word (`python -m inference.log items`, a process, since this room imports none of that one).
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from presage.errors import InputError
from presage.files import sha256_file
from presage.governance.retention.items import Item, Prepared, StoreName
from presage.governance.retention.stores.places import remove_file
from presage.governance.retention.terms import Terms


class _Told(msgspec.Struct, frozen=True):
    """One file. key: its place under the log; day: of its records (UTC); model, version, release: who wrote it, empty where nobody says."""

    key: str
    table: str
    day: str
    region: str
    bytes: int
    model: str
    version: str
    release: str


@dataclass(frozen=True)
class PredictionLog:
    """folder: of the log; nothing there is an empty log."""

    folder: Path
    terms: Terms
    name: StoreName = "prediction-log"

    def items(self) -> Iterator[Item]:
        """In order of table, day, region and name."""
        if not (self.folder / "decisions").is_dir():
            return
        asked = [sys.executable, "-m", "inference.log", "items", f"--log={self.folder}"]
        with subprocess.Popen(asked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    yield self._item(msgspec.json.decode(line, type=_Told))
            except GeneratorExit:  # nobody wants the rest
                process.terminate()
                raise
        if process.returncode:
            raise InputError(f"{self.folder}: the prediction log cannot be listed (code {process.returncode}; what it wrote stands above). Mend that.")

    def prepare(self, item: Item) -> Prepared | None:
        path = self.folder / item.id
        return Prepared(f"sha256:{sha256_file(path)}") if path.is_file() else None

    def whole(self, id: str, prepared: Prepared) -> bool:
        path = self.folder / id
        return path.is_file() and f"sha256:{sha256_file(path)}" == prepared.content

    def remove(self, id: str, prepared: Prepared) -> bool:
        """Where another file has come to its place since, that one is left: it is another item."""
        path = self.folder / id
        if self.whole(id, prepared) or not path.exists():
            remove_file(path)
        return True

    def _item(self, told: _Told) -> Item:
        """The youngest row of a day's file may be of its last moment. A snapshot may be read by decisions of the day after: it stays a day longer."""
        begin = datetime.fromisoformat(told.day).replace(tzinfo=UTC)
        born = begin + timedelta(days=1 if told.table == "decisions" else 2)
        release = f"{told.model}:{told.version}@{told.release}" if told.model and told.version else told.model
        return Item(
            self.name, told.key, born, begin, model=told.model, release=release, tier=self.terms.tier(told.model), region=told.region, bytes=told.bytes,
        )  # fmt: skip
