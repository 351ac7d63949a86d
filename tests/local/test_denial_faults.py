"""A fault in the telling of denials ends no plane: its supervisor ends with any task of its own that does."""

import asyncio
import json
from contextlib import suppress

from presage.files import sha256_bytes
from presage.local import denials


def spoiled(root):
    """A place whose number is none, as no version of ours writes it."""
    log = root / "plane" / "logs" / "gateway.access.log"
    log.parent.mkdir(parents=True)
    log.write_text("{}\n")
    place = root / "denials" / f"{sha256_bytes(str(log.resolve()).encode())[:24]}.json"
    place.parent.mkdir()
    place.write_text(json.dumps({"inode": log.stat().st_ino, "generation": "g", "to": "x"}))


def test_a_fault_ends_neither_the_reading_nor_the_end_of_a_plane(tmp_path, monkeypatch, capsys):
    spoiled(tmp_path)
    monkeypatch.setattr(denials, "EVERY", 0.01)
    denials.tell_the_last(tmp_path)

    async def kept() -> bool:
        task = asyncio.create_task(denials.keep(tmp_path))
        await asyncio.wait({task}, timeout=1)
        runs = not task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return runs

    assert asyncio.run(kept())
    assert "TypeError" in capsys.readouterr().err
