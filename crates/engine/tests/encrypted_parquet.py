#!/usr/bin/env python3
"""Writes the same rows as encrypted Parquet with the real tools, in all their variants, for `tests/encrypted_parquet.rs`.

    target/emulators/python/bin/python crates/engine/tests/encrypted_parquet.py write FOLDER
    target/emulators/python/bin/python crates/engine/tests/encrypted_parquet.py read FILE [KEY]
    target/emulators/python/bin/python crates/engine/tests/encrypted_parquet.py encrypt TOOL IN OUT KEY

`write` makes one file a variant, named after it. Row i (from 1) is: row_number = i, email = user<i>@example.com or null where 7
divides i, segment = gold or silver in turn, token = 32 bytes of i mod 251. `read` reads a file with DuckDB and with pyarrow, and
prints for each the columns, the number of rows, and the SHA-256 of the rows. `encrypt` reads a plain file with TOOL, duckdb or
pyarrow, and writes it encrypted with the same.
"""

import hashlib
import os
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

ROWS = 5000
KEY = {16: b"0123456789abcdef", 24: b"0123456789abcdefghijklmn", 32: b"0123456789abcdef0123456789abcdef"}


def table():
    numbers = range(1, ROWS + 1)
    return pa.table(
        {
            "row_number": pa.array(numbers, pa.int64()),
            "email": pa.array([None if i % 7 == 0 else f"user{i}@example.com" for i in numbers], pa.string()),
            "segment": pa.array(["gold" if i % 2 else "silver" for i in numbers], pa.string()),
            "token": pa.array([bytes([i % 251]) * 32 for i in numbers], pa.binary(32)),
        }
    )


def with_pyarrow(folder, name, key=32, pages="1.0", compression="snappy", **how):
    properties = pe.create_encryption_properties(KEY[key], **how)
    pq.write_table(
        table(),
        os.path.join(folder, f"pyarrow_{name}.parquet"),
        encryption_properties=properties,
        data_page_version=pages,
        compression=compression,
        row_group_size=1500,
        data_page_size=1024,
        write_batch_size=64,
    )


def with_duckdb(folder, name, key=32, options=""):
    rows = table()
    database = duckdb.connect()
    # To encrypt, DuckDB wants its extension httpfs, which it downloads; its own cipher does the same with poorer randomness.
    database.execute("SET force_mbedtls_unsafe = 'true'")
    database.execute(f"PRAGMA add_parquet_key('key', '{KEY[key].decode()}')")
    database.register("rows", rows)
    path = os.path.join(folder, f"duckdb_{name}.parquet")
    database.execute(
        f"COPY (SELECT * FROM rows) TO '{path}' (FORMAT parquet, ENCRYPTION_CONFIG {{footer_key: 'key'}}{options})"
    )


def write(folder):
    pq.write_table(table(), os.path.join(folder, "plain.parquet"))
    with_pyarrow(folder, "v1")
    with_pyarrow(folder, "v1_key16", key=16)
    with_pyarrow(folder, "v1_key24", key=24)
    with_pyarrow(folder, "v2", pages="2.0")
    with_pyarrow(folder, "prefix_stored", aad_prefix=b"acme")
    with_pyarrow(folder, "prefix_not_stored", aad_prefix=b"acme", store_aad_prefix=False)
    with_pyarrow(folder, "plain_footer", plaintext_footer=True)
    with_pyarrow(folder, "plain_footer_v2_prefix", pages="2.0", plaintext_footer=True, aad_prefix=b"acme")
    with_pyarrow(folder, "ctr", encryption_algorithm="AES_GCM_CTR_V1")
    for compression in ("none", "zstd", "lz4"):
        with_pyarrow(folder, f"v1_{compression}", compression=compression)
    with_duckdb(folder, "key32")
    with_duckdb(folder, "key16", key=16)
    with_duckdb(folder, "row_groups", options=", ROW_GROUP_SIZE 2048, COMPRESSION zstd")
    with_duckdb(folder, "v2", options=", PARQUET_VERSION v2, ROW_GROUP_SIZE 2048")
    with_duckdb(folder, "uncompressed", options=", COMPRESSION uncompressed")


def digest(rows):
    """Of each row its values as text, null as such, bytes as hex."""
    hashed = hashlib.sha256()
    for row in rows:
        shown = [value.hex() if isinstance(value, bytes) else repr(value) for value in row]
        hashed.update(("|".join(shown) + "\n").encode())
    return hashed.hexdigest()


def read(path, key=None):
    database = duckdb.connect()
    encrypted = ""
    if key:
        database.execute(f"PRAGMA add_parquet_key('key', '{key}')")
        encrypted = ", encryption_config={footer_key: 'key'}"
    found = database.execute(f"SELECT * FROM read_parquet('{path}'{encrypted})")
    names, rows = [column[0] for column in found.description], found.fetchall()
    print("duckdb", ",".join(names), len(rows), digest(rows))
    how = pe.create_decryption_properties(key.encode()) if key else None
    found = pq.read_table(path, decryption_properties=how)
    rows = list(zip(*(column.to_pylist() for column in found.columns)))
    print("pyarrow", ",".join(found.column_names), len(rows), digest(rows))


def encrypt(tool, plain, out, key):
    if tool == "duckdb":
        database = duckdb.connect()
        database.execute("SET force_mbedtls_unsafe = 'true'")
        database.execute(f"PRAGMA add_parquet_key('key', '{key}')")
        rows = f"SELECT * FROM read_parquet('{plain}')"
        database.execute(f"COPY ({rows}) TO '{out}' (FORMAT parquet, ENCRYPTION_CONFIG {{footer_key: 'key'}})")
    else:
        properties = pe.create_encryption_properties(key.encode())
        pq.write_table(pq.read_table(plain), out, encryption_properties=properties)


if __name__ == "__main__":
    work = {"write": write, "read": read, "encrypt": encrypt}
    if len(sys.argv) < 3 or sys.argv[1] not in work:
        sys.exit(__doc__)
    work[sys.argv[1]](*sys.argv[2:])
