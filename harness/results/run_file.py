"""The file of a run: its records as validated, versioned JSON, with the ledger entries by which they were judged.

`record.schema.json` beside this file is the JSON schema of what is written here; a test keeps the two equal.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import ClaimsError
from harness.judging.ledger import ClaimSpec

FORMAT = 1  # of the file; rises when a field changes its meaning or goes
SCHEMA_FILE = Path(__file__).with_name("record.schema.json")
Verdicts = Literal["supported", "refuted", "vacuous", "inconclusive", "not applicable", "reported"]
Part = Literal["effect", "control", "gate"]
Direction = Literal[">=", "<="]
Number = float | None


class _Open(BaseModel):
    """A part of the file that later versions may add fields to."""

    model_config = ConfigDict(frozen=True, extra="allow")


class FindingRecord(_Open):
    """One comparison of a number with a bound."""

    label: str
    estimate: Number = Field(description="null where the number is undefined")
    interval: tuple[Number, Number] | None = Field(
        description="anytime-valid at the record's delta; null where not drawn"
    )
    bound: Number
    direction: Direction
    p_true: Number = Field(
        description="anytime-valid p-value of the negation: small when the comparison is established"
    )
    p_false: Number = Field(description="anytime-valid p-value of the comparison: small when it is refuted")


class Findings(_Open):
    """The comparisons behind a verdict."""

    effect: list[FindingRecord]
    control: list[FindingRecord]
    gate: list[FindingRecord]


class Picture(_Open):
    """A picture that shows what a claim did: an intervention, or a feature visualisation."""

    title: str
    caption: str = ""
    media: Literal["image/png", "image/jpeg", "image/webp"]
    data: str = Field(pattern=r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", description="base64")


class RunRecord(_Open):
    """One claim on one model."""

    format: Literal[1]
    claim: Annotated[str, Field(min_length=1, description="id in the ledger")]
    version: int = Field(ge=1, description="version of the ledger entry")
    model: Annotated[str, Field(min_length=1)]
    source: str
    tier: str
    verdict: Verdicts
    reason: str
    p: Number = Field(default=None, description="smallest error level at which the verdict would stand")
    published: Number = Field(description="the paper's number for the deciding comparison")
    effect: FindingRecord | None = Field(description="the deciding comparison; null where not applicable")
    findings: Findings | None = None
    delta: Number = Field(default=None, description="error level of the verdict")
    images: int = Field(ge=0, description="images until the verdict; members of a census where `what` names one")
    what: str = Field(default="images", description="what was counted: images, or the members of a census")
    members: int | None = Field(
        default=None, description="the members of the census in all; null for images, and for batches of them"
    )
    pictures_behind: int | None = Field(
        default=None, ge=0, description="images that the numbers rest on, whatever was counted; 0 for weights alone"
    )
    smallest_change: Number = Field(default=None, description="change of an outcome between runs that counts as one")
    budget: int = Field(default=0, description="most images the claim may use")
    seconds: float = Field(ge=0)
    block_evaluations: float = Field(ge=0, description="blocks x images, the claim's share of merged passes")
    measured_images: int = Field(ge=0, description="images of the budget that were measured anew, not read back")
    curves: dict[str, list[tuple[int, Number, Number, Number]]] = Field(
        default={}, description="by name: layer, estimate, low, high (pointwise, anytime-valid)"
    )
    judged: dict[str, list[tuple[int, Part, Direction, Number]]] = Field(
        default={}, description="points of the curves that were compared with a bound: layer, part, direction, bound"
    )
    trace: list[tuple[int, Number]] = Field(default=[], description="after each chunk: images, error level so far")
    arms: dict[str, str] = Field(default={}, description="arm: id of its measurement in the store")
    arm_means: dict[str, Number] = {}
    pictures: list[Picture] = []
    expected: str | None = Field(default=None, description="the accepted verdict, where there is one")
    context: dict[str, Any] = Field(description="weights, images, settings, versions and machine of the model's run")


class RunDocument(_Open):
    """The records of one run, or of several."""

    format: Literal[1] = 1
    created: str = Field(default="", description="UTC, ISO 8601")
    claims: dict[str, ClaimSpec] = Field(default={}, description="ledger entries by id, as they stood in the run")
    notes: list[str] = []
    records: list[RunRecord]


def document_text(
    records: Sequence[Mapping[str, Any]], specs: Mapping[str, ClaimSpec], notes: Sequence[str], now: datetime
) -> str:
    """Write a run as JSON: numbers that are not finite have no value."""
    asked = {record["claim"] for record in records}
    document = {
        "format": FORMAT,
        "created": now.astimezone(UTC).isoformat(timespec="seconds"),
        "claims": {name: spec.model_dump(mode="json") for name, spec in sorted(specs.items()) if name in asked},
        "notes": list(notes),
        "records": list(records),
    }
    return json.dumps(_writable(document), indent=1, allow_nan=False) + "\n"


def read_document(path: Path) -> tuple[list[dict[str, Any]], dict[str, ClaimSpec], list[str]]:
    """Read records, ledger entries and notes of a run; ClaimsError naming file and field for anything else."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        document = RunDocument.model_validate(raw)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ClaimsError(
            f"cannot read the records {str(path)!r}: {error}; `--claims-json FILE` writes them"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ClaimsError(
            f"{str(path)!r} holds no records of a run: {place}: {first['msg']} (got {first.get('input')!r:.80}); "
            "`--claims-json FILE` writes them"
        ) from error
    times = {"time": document.created} if document.created else {}
    return [{**times, **record} for record in raw["records"]], dict(document.claims), document.notes


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
