"""Says of each report whether it fits the schema, and whether the schema describes every field of it.

    target/emulators/python/bin/python crates/engine/tests/report_schema.py SCHEMA REPORT...

One line for each report, `NAME fits` or `NAME does not fit`; why not goes to standard error.
"""

import copy
import json
import pathlib
import sys

from jsonschema import Draft202012Validator


def closed(schema):
    """The schema with no room for a field that it does not name: readers allow for later ones, this test does not."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if isinstance(inner.get("properties"), dict) and inner.get("type") == "object":
        inner.setdefault("additionalProperties", False)
    return inner


def main(schema, *reports):
    schema = json.loads(pathlib.Path(schema).read_text())
    Draft202012Validator.check_schema(schema)
    validators = [Draft202012Validator(schema), Draft202012Validator(closed(copy.deepcopy(schema)))]
    for path in map(pathlib.Path, reports):
        report = json.loads(path.read_text())
        errors = [error for validator in validators for error in validator.iter_errors(report)]
        for error in errors:
            print(f"{path.stem}: {error.json_path}: {error.message}", file=sys.stderr)
        print(f"{path.stem} {'does not fit' if errors else 'fits'}")


main(*sys.argv[1:])
