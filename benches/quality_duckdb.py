"""The other side of benches/quality.sh: generates the rows, and makes the same checks in DuckDB.

quality_duckdb.py generate ROWS FILE             writes a CSV file of people who do not exist, with mistakes in it
quality_duckdb.py compare FILE RESULT SECONDS    times DuckDB, and compares its counts with those of `contract check --json`
"""

import json
import random
import sys
import time


def generate(rows: int, path: str) -> None:
    draw = random.Random(7)
    segments = ["retail", "business", "premium", "gold"]
    with open(path, "w", encoding="utf-8") as file:
        file.write("id,email,segment,balance,born\n")
        for row in range(rows):
            number = row if draw.random() > 0.001 else max(row - 1, 0)
            email = f"person{number}@mail.example" if draw.random() > 0.01 else draw.choice(["", f"person{number}"])
            segment = segments[draw.randrange(3)] if draw.random() > 0.002 else segments[3]
            balance = f"{draw.uniform(-10, 100010):.2f}" if draw.random() > 0.003 else "n/a"
            born = f"{draw.randrange(1890, 2010)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"
            file.write(f"{number},{email},{segment},{balance},{born}\n")


def compare(path: str, result: str, seconds: float) -> None:
    import duckdb

    connection = duckdb.connect()
    began = time.perf_counter()
    connection.execute(
        f"""CREATE TEMP TABLE rows AS SELECT id AS id_text, email, segment, balance AS balance_text, born AS born_text,
        try_cast(id AS BIGINT) AS id, try_cast(balance AS DOUBLE) AS balance, try_cast(born AS DATE) AS born
        FROM read_csv('{path}', all_varchar = true, header = true)"""
    )
    counts = connection.execute(
        """SELECT count(*),
        count(*) FILTER (WHERE id_text IS NOT NULL AND id IS NULL),
        count(*) FILTER (WHERE id_text IS NULL),
        count(*) FILTER (WHERE email IS NULL),
        count(*) FILTER (WHERE NOT regexp_matches(email, '^[^@]+@[^@]+[.][a-z]+$')),
        count(*) FILTER (WHERE length(email) > 40),
        count(*) FILTER (WHERE segment NOT IN ('retail', 'business', 'premium')),
        count(*) FILTER (WHERE balance_text IS NOT NULL AND balance IS NULL),
        count(*) FILTER (WHERE balance < 0 OR balance > 100000),
        count(*) FILTER (WHERE born < DATE '1900-01-01'),
        count(*) FILTER (WHERE segment = 'premium' AND balance < 10)
        FROM rows"""
    ).fetchone()
    doubles = connection.execute(
        "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM rows WHERE id IS NOT NULL GROUP BY id)"
    ).fetchone()[0]
    other = time.perf_counter() - began

    rules = json.load(open(result, encoding="utf-8"))["models"][0]["rules"]

    def of(kind: str, column: str | None) -> int:
        return next(rule["rows"] for rule in rules if rule["rule"] == kind and rule.get("column") == column)

    ours = [
        of("row_count", None),
        of("type", "id"),
        of("required", "id"),
        of("required", "email"),
        of("pattern", "email"),
        of("length", "email"),
        of("allowed", "segment"),
        of("type", "balance"),
        of("range", "balance"),
        of("range", "born"),
    ]
    assert ours == list(counts[:-1]), (ours, counts)
    assert of("unique", "id") == doubles, (of("unique", "id"), doubles)
    print(f"{counts[0]:,} rows: DataFuse {seconds:.2f} s, DuckDB {duckdb.__version__} {other:.2f} s, ratio {seconds / other:.2f}; the counts agree")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["generate", rows, path]:
            generate(int(rows), path)
        case ["compare", path, result, seconds]:
            compare(path, result, float(seconds))
        case _:
            sys.exit(__doc__)
