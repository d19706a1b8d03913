"""Looks the keys of `lookup_bench` up in SQLite: one plain table a holder, the key being its primary key.

    python3 benches/lookups_sqlite.py ROWS HOLDERS FOLDER

The table has what a fused file has (key, row number) and is kept WITHOUT ROWID, so that a look-up is one walk down one tree.
"""

import sqlite3
import sys
import time
from pathlib import Path

LOOKUPS = 20_000


def key(row, rows):
    return row * ((2**128 - 1) // rows)


def resident():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])


def main():
    rows, holders, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    tables = []
    for holder in range(holders):
        path = folder / f"{rows}-{holder}.sqlite"
        new = not path.exists()
        db = sqlite3.connect(path)
        if new:
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("CREATE TABLE fused (key BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID, STRICT")
            made = ((key(row, rows).to_bytes(16, "big"), row) for row in range(rows))
            db.executemany("INSERT INTO fused VALUES (?, ?)", made)
            db.commit()
            db.close()
            db = sqlite3.connect(path)
        tables.append(db)
    before, took = resident(), []
    for number in range(LOOKUPS):
        row, known = number * 0x9E3779B97F4A7C15 % 2**64 % rows, number % 2 == 0
        asked = (key(row, rows) + (not known)).to_bytes(16, "big")
        began = time.perf_counter()
        held = any([db.execute("SELECT 1 FROM fused WHERE key = ?", (asked,)).fetchone() for db in tables])
        took.append((time.perf_counter() - began) * 1e3)
        assert held == known
    took.sort()
    p50, p99 = took[len(took) // 2], took[int((len(took) - 1) * 0.99)]
    size = (folder / f"{rows}-0.sqlite").stat().st_size >> 20
    print(
        f"SQLite {sqlite3.sqlite_version} from Python, {holders} tables of {rows} rows, {size} MiB each: {LOOKUPS} look-ups: "
        f"p50 {p50:.3f} ms, p99 {p99:.3f} ms, longest {took[-1]:.3f} ms; {before} KiB resident before, {resident()} KiB after"
    )
    asked, began = key(rows // 2, rows).to_bytes(16, "big"), time.perf_counter()
    # A sign before the column keeps the index out of it.
    assert tables[0].execute("SELECT count(*) FROM fused WHERE +key = ?", (asked,)).fetchone() == (1,)
    print(f"SQLite, scan of one table of {rows} rows for one key: {(time.perf_counter() - began) * 1e3:.1f} ms")


main()
