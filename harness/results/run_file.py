"""The file of a run: its records as JSON, with the ledger entries by which they were judged.

`record.schema.json` beside this file is the JSON schema of what is written here; a test keeps the two equal.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from harness.errors import ClaimsError
from harness.judging.ledger import ClaimSpec
from harness.results.record import FORMAT, Open, RunRecord, record_data

SCHEMA_FILE = Path(__file__).with_name("record.schema.json")


class RunDocument(Open):
    """The records of one run, or of several."""

    format: Literal[1] = FORMAT
    created: str = Field(default="", description="UTC, ISO 8601")
    claims: dict[str, ClaimSpec] = Field(default={}, description="ledger entries by id, as they stood in the run")
    notes: tuple[str, ...] = ()
    records: list[RunRecord]


def document_text(
    records: Sequence[RunRecord], specs: Mapping[str, ClaimSpec], notes: Sequence[str], now: datetime
) -> str:
    """Write a run as JSON: numbers that are not finite have no value."""
    asked = {record.claim for record in records}
    document = {
        "format": FORMAT,
        "created": now.astimezone(UTC).isoformat(timespec="seconds"),
        "claims": {name: spec.model_dump(mode="json") for name, spec in sorted(specs.items()) if name in asked},
        "notes": list(notes),
        "records": list(map(record_data, records)),
    }
    return json.dumps(_writable(document), indent=1, allow_nan=False) + "\n"


def read_document(path: Path) -> tuple[list[RunRecord], dict[str, ClaimSpec], list[str]]:
    """Read records, ledger entries and notes of a run; ClaimsError naming file and field for anything else."""
    try:
        document = RunDocument.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ClaimsError(
            f"{str(path)!r} holds no records of a run: {place}: {first['msg']} (got {first.get('input')!r:.80}); "
            "`--claims-json FILE` writes them"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ClaimsError(
            f"cannot read the records {str(path)!r}: {error}; `--claims-json FILE` writes them"
        ) from error
    created = document.created
    records = [record.but(time=created) if created and not record.time else record for record in document.records]
    return records, dict(document.claims), list(document.notes)


def schema() -> dict[str, Any]:
    """Build the JSON schema of the file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **RunDocument.model_json_schema()}


def schema_text() -> str:
    """Write the schema as `record.schema.json` holds it."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def _writable(value: Any) -> Any:
    """Make JSON of anything: no value for what is not finite, escapes for bytes of a file name that are no text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_writable(key): _writable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_writable(part) for part in value]
    return value
