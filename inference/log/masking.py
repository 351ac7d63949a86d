"""From what the journal holds to what the log may hold: parts are masked, left out, or encrypted for their subject.

    masking = Masking(read_classes(), free_text=FreeText(), subjects=open_subjects)
    masking.decisions(columns, writer)      # columns: field → list, one entry a record; changed in place

Two columns are added: `subject`, the pseudonym of whom a row is about, and `sealed`, what only the subject's key opens (msgpack: field → value).
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from inference.journal.record import Writer
from inference.log.classes import Action, Classes
from inference.log.free_text import MASKED, FreeText
from inference.log.subjects import SubjectKey, Subjects

Columns = dict[str, list[Any]]
FORGOTTEN = "<forgotten>"
TEXTS = ("caller", "caller_id", "because", "server", "trace_id")
_encode = msgspec.msgpack.Encoder().encode


class Masking:
    """Holds what is loaded once. subjects: opens the key store, called only where a policy encrypts."""

    def __init__(self, classes: Classes, free_text: FreeText, subjects: Callable[[], Subjects]) -> None:
        self.classes, self._free_text, self._open = classes, free_text, subjects
        self._subjects: Subjects | None = None

    def close(self) -> None:
        if self._subjects is not None:
            self._subjects.close()
            self._subjects = None

    def decisions(self, columns: Columns, writer: Writer) -> None:
        """columns: the fields of `Decision`; x as bytes, context as dict."""
        self._free_text.begin_round()
        rows = len(columns["prediction_id"])
        columns["subject"], columns["sealed"] = [None] * rows, [None] * rows
        if self.classes.subject is not None:
            self._seal(columns, [f"decision|{id}".encode() for id in columns["prediction_id"]], columns["time"], inputs=("x",))
        self._inputs(columns, {"x": writer.inputs}, writer, per_subject=True)
        columns["context"] = [self._context(context) if context else context for context in columns["context"]]
        for name in TEXTS:
            columns[name] = self._texts(columns[name], self.classes.record[name])
        action = self.classes.record["doubts"]
        if action != "keep":
            columns["doubts"] = [[text for text in self._texts(doubts, action) if text] for doubts in columns["doubts"]]

    def snapshots(self, columns: Columns, writer: Writer) -> None:
        """columns: the fields of `Snapshot`, and `seen`: when a decision read it (Unix seconds)."""
        self._free_text.begin_round()
        rows = len(columns["server"])
        columns["subject"], columns["sealed"] = [None] * rows, [None] * rows
        whose = self.classes.subject == "server"
        if whose:
            self._seal(columns, None, columns["seen"], inputs=("values", "history"))
        self._inputs(columns, {"values": writer.features, "history": writer.metrics}, writer, per_subject=whose)
        columns["server"] = self._texts(columns["server"], self.classes.record["server"])

    def _texts(self, values: list[str | None], action: Action) -> list[str | None]:
        if action == "keep":
            return values
        if action == "mask patterns":
            masked = {value: self._free_text.masked(value) for value in dict.fromkeys(values) if value}  # they repeat themselves
            return [masked[value] if value else value for value in values]
        if action == "leave out":
            return [None] * len(values)
        return [value and (value if value == FORGOTTEN else MASKED) for value in values]  # whole; or of a subject that the row does not name

    def _context(self, context: dict[str, str]) -> dict[str, str]:
        kept: dict[str, str] = {}
        for key, value in context.items():
            action = self.classes.of_context(key)
            name = key if key in self.classes.context else self._free_text.masked(key)
            if action != "leave out":
                kept[name] = self._texts([value], action)[0] or ""
        return kept

    def _inputs(self, columns: Columns, parts: dict[str, Sequence[str]], writer: Writer, *, per_subject: bool) -> None:
        """Values of masked inputs become NaN, those of a nameless writer all of them. per_subject: inputs of a subject are sealed by now."""
        if self.classes.keeps_inputs:
            return
        for part, names in parts.items():
            masked = [self._hides(name, (*writer.inputs, *writer.features), per_subject) for name in names]
            if names and not any(masked):
                continue
            for row, blob in enumerate(columns[part]):
                if blob:
                    values = np.frombuffer(blob, "<f4").reshape(-1, len(names) or 1).copy()
                    values[:, np.array(masked or [True])] = np.nan
                    columns[part][row] = values.tobytes()

    def _hides(self, name: str, inputs: Sequence[str], per_subject: bool) -> bool:
        """A metric is hidden with any of its features."""
        actions = {self.classes.of_input(name)} | {self.classes.of_input(feature) for feature in inputs if feature.startswith(f"{name}.")}
        return bool(actions - ({"keep", "encrypt per subject"} if per_subject else {"keep"}))

    def _seal(self, columns: Columns, ids: list[bytes] | None, times: list[float], inputs: tuple[str, ...]) -> None:
        """ids: what each row's seal is bound to; None: pseudonym and tick."""
        classes = self.classes
        texts = [name for name in TEXTS if name in columns and classes.record[name] == "encrypt per subject"]
        listed = [name for name in ("doubts",) if name in columns and classes.record["doubts"] == "encrypt per subject"]
        actions = {classes.inputs_otherwise, *classes.inputs.values()}
        floats = [name for name in inputs if "encrypt per subject" in actions]
        for row, key in enumerate(self._keys(columns, times)):
            if key is None:
                continue
            content = {name: value for name in (*texts, *listed) if (value := columns[name][row])}
            content |= {name: value for name in floats if (value := columns[name][row])}
            if "context" in columns and (context := columns["context"][row]):
                mine = {name: value for name, value in context.items() if classes.of_context(name) == "encrypt per subject"}
                if mine:
                    content["context"] = mine
                    columns["context"][row] = {name: value for name, value in context.items() if name not in mine}
            for name in (*texts, *listed, *floats):
                columns[name][row] = [] if name in listed else b"" if name in floats else None
            if isinstance(key, SubjectKey):
                of = ids[row] if ids is not None else snapshot_id(key.pseudonym, columns["time"][row])
                columns["subject"][row] = key.pseudonym
                columns["sealed"][row] = key.seal(_encode(content), of)
            else:
                for name in texts:
                    columns[name][row] = FORGOTTEN

    def _keys(self, columns: Columns, times: list[float]) -> list["SubjectKey | bool | None"]:
        """A row's key; False: its subject was forgotten since; None: it has no subject."""
        if self._subjects is None:
            self._subjects = self._open()
        whose = self.classes.subject or ""
        named: list[str | None] = [context.get(whose[8:]) for context in columns["context"]] if whose.startswith("context.") else columns[whose]
        return [None if not subject else self._subjects.key(subject, time) or False for subject, time in zip(named, times, strict=True)]


def snapshot_id(pseudonym: str, time: float) -> bytes:
    """What a snapshot's seal is bound to. time: its tick (Unix seconds)."""
    return f"snapshot|{pseudonym}|{round(time * 1e6)}".encode()
