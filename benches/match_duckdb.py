"""DuckDB's answer to what benches/match.sh times: the regions of the same keys, by its two best plans.

Usage: match_duckdb.py ROWS HOLDERS FOLDER, with FOLDER/keys-ROWS-N.parquet made by the match_bench example.
"""

import os
import sys
import time

import duckdb

rows, holders, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
files = [f"{folder}/keys-{rows}-{holder}.parquet" for holder in range(holders)]
union = " UNION ALL ".join(f"SELECT match_key, {1 << h}::BIGINT AS mask FROM '{file}'" for h, file in enumerate(files))
plans = {
    "group by": f"SELECT mask, count(*) FROM (SELECT match_key, bit_or(mask) AS mask FROM ({union}) GROUP BY match_key) GROUP BY mask"
}
if holders == 2:
    plans["join"] = f"SELECT count(DISTINCT match_key) FROM '{files[0]}' JOIN '{files[1]}' USING (match_key)"
    plans["semi join"] = f"SELECT count(*) FROM '{files[0]}' a WHERE EXISTS (FROM '{files[1]}' b WHERE a.match_key = b.match_key)"

print(f"DuckDB {duckdb.__version__}, {os.cpu_count()} threads, keys as 16-byte BLOBs in plain Parquet")
for name, query in plans.items():
    for run in range(1, 6):
        connection = duckdb.connect()
        began, cpu = time.monotonic(), sum(os.times()[:2])
        connection.execute(query).fetchall()
        print(f"duckdb {name} {run}: {time.monotonic() - began:.2f} s by the clock, {sum(os.times()[:2]) - cpu:.2f} s of all cores")
        connection.close()
