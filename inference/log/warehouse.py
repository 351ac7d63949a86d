"""What a synchronisation with a warehouse came to."""

import msgspec


class SyncedTable(msgspec.Struct, frozen=True):
    """files: of the log's table; added: how many of them were not there before, or not whole; rows: in those."""

    table: str
    files: int
    added: int
    rows: int


class Synced(msgspec.Struct, frozen=True):
    """to: where; tables: decisions and snapshots."""

    to: str
    tables: list[SyncedTable]
