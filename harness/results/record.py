"""The record of one claim on one model: the one form in which a result travels, is kept and is shown.

Workers hand it over, the history and the files of runs hold it as JSON, reports and comparisons read it. Fields that
an older version did not write have the value that was meant; fields that a later version adds are kept as they are.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FORMAT: Literal[1] = 1  # of a record and of the file of a run; rises when a field changes its meaning or goes
IMAGES = "images"  # what is counted where no finite population is read
DISTRIBUTION = "distribution"  # what a verdict is about where the given pictures stand for more of their kind
CLASSES = "classes"  # where the classes that there are pictures of stand for more of their kind
Verdicts = Literal["supported", "refuted", "vacuous", "inconclusive", "not applicable", "reported"]
Part = Literal["effect", "control", "gate"]
Direction = Literal[">=", "<="]
Number = float | None
CurvePoint = tuple[int, Number, Number, Number]
JudgedPoint = tuple[int, Part, Direction, Number]
TrainImages = list[str | int]  # name, fingerprint, count


def _named(text: str) -> str:
    if not text:
        raise ValueError("a name has at least one character")
    return text


# Not `min_length`: with it a name could not hold bytes of a file name that are no text.
Name = Annotated[str, AfterValidator(_named), Field(json_schema_extra={"minLength": 1})]


class Open(BaseModel):
    """A part of a record that later versions may add fields to."""

    model_config = ConfigDict(frozen=True, extra="allow")


class FindingRecord(Open):
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
    units: int | None = Field(default=None, ge=0, description="images, pairs or members that the comparison rests on")


class Findings(Open):
    """The comparisons behind a verdict."""

    effect: tuple[FindingRecord, ...] = ()
    control: tuple[FindingRecord, ...] = ()
    gate: tuple[FindingRecord, ...] = ()


class PictureRecord(Open):
    """A picture that shows what a claim did: an intervention, or a feature visualisation."""

    title: str
    caption: str = ""
    media: Literal["image/png", "image/jpeg", "image/webp"]
    data: str = Field(pattern=r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", description="base64")


class PairsRecord(Open):
    """The units where images exchange something: positions of the first image of each pair, and how many there are."""

    first: tuple[int, ...]
    in_all: int


class GroupsRecord(Open):
    """The units where classes are counted: of each position its unit (-1: no say), and where each unit is complete."""

    of: tuple[int, ...]
    closes: tuple[int, ...]


class CardRecord(Open):
    """A model card as plain data: see `harness.models.subject.ModelCard`."""

    name: str = ""
    family: str = ""
    arch: str = ""
    depth: int | None = None
    width: int | None = None
    grid: tuple[int, int] | None = None
    prefix: tuple[str, ...] = ()
    native: str = ""
    classes: int | None = None
    capabilities: tuple[str, ...] = ()
    preprocessing: dict[str, Any] = {}
    lacks: dict[str, str] = {}
    units: tuple[dict[str, Any], ...] = ()
    pretrained: bool = True
    parameters: int = 0


class Context(Open):
    """Everything about a run that a number of one model, or of the models of a group, may depend on."""

    resolved: str = Field(default="", description="the exact weights that the name of the model stands for")
    card: CardRecord | None = Field(default=None, description="null where several models are compared")
    cards: dict[str, CardRecord] = Field(default={}, description="by role, where several models are compared")
    family: str = ""
    depth: int | None = None
    width: int | None = None
    native: str = ""
    pretrained: bool | None = None
    weights: str = Field(default="", description="hash of the weights")
    weights_by_role: dict[str, str] = {}
    preprocessing: str = ""
    images: str = Field(default="", description="name of the set of pictures")
    image_fingerprint: str = ""
    image_count: int | None = None
    image_classes: int = 0
    classes_present: int | None = None
    usable_images: int | None = None
    left_out: tuple[str, ...] = ()
    train_images: TrainImages | dict[str, TrainImages | None] | None = Field(
        default=None, description="name, fingerprint and count; by role where models are fitted on different ones"
    )
    seed: int | None = None
    dtype: str = ""
    device: str = ""
    batch_size: int | None = None
    delta: Number = Field(default=None, description="error level of the run; null for that of the ledger")
    max_images: int | None = Field(default=None, description="cap of the run; null for that of the ledger")
    target: str = Field(
        default=DISTRIBUTION,
        description="what the verdict is about: the images, or the distribution or the classes behind them",
    )
    versions: dict[str, str] = {}
    machine: str = ""


class RunRecord(Open):
    """One claim on one model."""

    format: Literal[1] = FORMAT
    claim: Name = Field(description="id in the ledger")
    version: int = Field(ge=1, description="version of the ledger entry")
    model: Name
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
    what: str = Field(default=IMAGES, description="what was counted: images, or the members of a census")
    members: int | None = Field(
        default=None, description="the members of the census in all; null for images, and for batches of them"
    )
    pictures_behind: int | None = Field(
        default=None, ge=0, description="images that the numbers rest on, whatever was counted; 0 for weights alone"
    )
    smallest_change: Number = Field(default=None, description="change of an outcome between runs that counts as one")
    pairs: PairsRecord | None = Field(default=None, description="the units where images exchange something")
    groups: GroupsRecord | None = Field(default=None, description="the units where classes are what is counted")
    budget: int = Field(default=0, description="most images the claim may use")
    seconds: float = Field(ge=0)
    block_evaluations: float = Field(ge=0, description="blocks x images, the claim's share of merged passes")
    measured_images: int = Field(ge=0, description="images of the budget that were measured anew, not read back")
    curves: dict[str, tuple[CurvePoint, ...]] = Field(
        default={}, description="by name: layer, estimate, low, high (pointwise, anytime-valid)"
    )
    curve_units: dict[str, tuple[int, ...]] = Field(
        default={}, description="images, pairs or members behind each point of the curves"
    )
    judged: dict[str, tuple[JudgedPoint, ...]] = Field(
        default={}, description="points of the curves that were compared with a bound: layer, part, direction, bound"
    )
    trace: tuple[tuple[int, Number], ...] = Field(
        default=(), description="after each chunk: images, error level so far"
    )
    arms: dict[str, str] = Field(default={}, description="arm: id of its measurement in the store")
    arm_means: dict[str, Number] = {}
    arm_images: dict[str, int] = Field(
        default={}, description="images of the arms that were dropped before the verdict, being settled"
    )
    pictures: tuple[PictureRecord, ...] = ()
    fingerprints: dict[str, str] = Field(default={}, description="what the verdict rests on: see results.staleness")
    out_of_time: bool = Field(default=False, description="inconclusive because the time of the run was up")
    run: str = Field(default="", description="id of the run in the history")
    expected: str | None = Field(default=None, description="the accepted verdict, where there is one")
    time: str = Field(default="", description="UTC, ISO 8601: when it was kept")
    context: Context = Field(description="weights, images, settings, versions and machine of the model's run")

    @property
    def asked(self) -> bool:
        """Tell whether the claim could be asked of this model."""
        return self.verdict != "not applicable"

    @property
    def controls(self) -> tuple[FindingRecord, ...]:
        """List the findings about the control; none where nothing was measured."""
        return () if self.findings is None else self.findings.control

    @property
    def units(self) -> str:
        """Name what a number is a mean over: images, pairs of them, classes, or the members of a census."""
        if self.groups is not None:
            return "classes" if self.pairs is None else "pairs of classes"
        return self.what if self.pairs is None else "pairs"

    def images_of(self, arm: str) -> int:
        """Count the images on which an arm was measured."""
        return self.arm_images.get(arm, self.images)

    def but(self, **changes: Any) -> "RunRecord":
        """Copy the record with some fields changed to values of their types."""
        return self.model_copy(update=changes)


def record_data(record: RunRecord) -> dict[str, Any]:
    """Turn a record into plain data: the fields that were given, not the defaults of those that were not."""
    return record.model_dump(mode="json", exclude_unset=True)


def record_text(record: RunRecord) -> str:
    """Write a record as JSON in ASCII, so that bytes of a file name that are no text survive."""
    return json.dumps(record_data(record))


def record_from(text: str) -> RunRecord:
    """Read back what `record_text` wrote."""
    return RunRecord.model_validate(json.loads(text))
