"""An export of the record, judged by OCSF's own schema of version 1.5.0.

Each line has to be an event of the class that it names, with nothing that the schema does not know. The judge itself
is judged too: events that were bent in one place have to be refused.
"""

import argparse
import json
import sys
from collections import Counter
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

VERSION = "1.5.0"
SCHEMA = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=VERSION))
# A story of tasks, tokens, checks, denials and revocations is of all of these.
CLASSES_MIN = 4


@cache
def validator(class_uid: int) -> Draft202012Validator:
    return Draft202012Validator(SCHEMA.get_class_schema(SCHEMA.lookup_class_name_from_uid(class_uid)))


def problems(event: dict) -> list[str]:
    found = [f"{error.json_path}: {error.message[:200]}" for error in validator(event["class_uid"]).iter_errors(event)]
    if event["metadata"]["version"] != VERSION:
        found.append(f"is of version {event['metadata']['version']}")
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("`type_uid` is not of this class and activity")
    return found


def unnoticed(event: dict) -> list[str]:
    """What may be bent without a word."""
    bent = {
        "a required attribute is gone": {name: value for name, value in event.items() if name != "time"},
        "a text for a number": event | {"severity_id": "high"},
        "an attribute that nobody knows": event | {"surprise": 1},
        "an activity that the class does not have": event | {"activity_id": 4242},
    }
    return [f"the judge does not see that {what}" for what, one in bent.items() if not problems(one)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Judges events of OCSF, one a line.")
    parser.add_argument("export", type=Path)
    events = [json.loads(line) for line in parser.parse_args().export.read_text().splitlines()]
    classes = Counter(SCHEMA.lookup_class_name_from_uid(event["class_uid"]) for event in events)
    found = [f"line {at}: {problem}" for at, event in enumerate(events, 1) for problem in problems(event)]
    if len(classes) < CLASSES_MIN:
        found.append(f"only {dict(classes)}")
    found += unnoticed(events[0]) if events else []
    print(*(found or [f"{len(events)} events hold: {dict(classes)}"]), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
