"""The ledger: one validated entry per claim, and the only reader of ledger files.

A ledger holds every number that a verdict depends on (bounds, budget, error level), each with its origin, so that
a reader can check a verdict without reading code.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.errors import ClaimsError, brief, unknown
from harness.judging.wrong_fields import wrong_fields

DATA_NEEDS = {
    "labels": "{} has no labels",
    "train": "no training images are given (--train-data)",
    "shots_50": "fewer than 50 training images per class are given, and the bounds are for as many",
    "shots_200": "fewer than 200 training images per class are given, and the bounds are for as many",
    "masks": "{} has no object masks (a folder masks/ beside images/)",
    "boxes": "{} has no object boxes (boxes.csv, or masks/, beside images/)",
    "cues": "{} does not tell shape and texture apart (folders of files such as cat/cat1-dog2.png)",
    "repeats": "of {} it would see fewer than 20 pictures per class (or no labels): hardly any could share a class",
    "attributes": "{} does not say the attributes of its objects (only embedded pictures do)",
    "superclasses": "{} does not say which of its classes belong together (embedded pictures do; the WordNet hierarchy "
    "of ImageNet does not come with this package)",
}
LEDGER_NAME = "ledger.yaml"
# A tenth of the smallest margin (.01) that a bound asks for. Other batch shapes and processors move outcomes by less,
# and a shift by less cannot matter to a verdict, though on many pictures it is no chance.
SMALLEST_CHANGE = 1e-3

Text = Annotated[str, Field(min_length=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)


class Source(_Record):
    """Where a family of claims comes from: an arXiv id, a url, or a note on what is not published (yet)."""

    key: Text
    title: Text
    authors: Text
    year: int = Field(ge=1950, le=2100)
    arxiv: str | None = Field(default=None, pattern=r"^\d{4}\.\d{4,5}$")
    url: str | None = None
    code: str | None = None
    note: str = Field(default="", description="what an unpublished source is, instead of a link")

    @model_validator(mode="after")
    def _findable(self) -> "Source":
        if not (self.arxiv or self.url or self.note):
            raise ValueError("a source needs an arXiv id, a url, or (where it is not published) a note that says so")
        return self


class Bound(_Record):
    """One threshold: the larger of `value`, `chance_times`/classes and chance + `above_chance` x (1 - chance).

    `published` is what the source reports for the quantity that meets this bound (None: no number is known).
    """

    value: float
    direction: Literal[">=", "<="]
    origin: Text
    chance_times: float = Field(default=0.0, ge=0.0)
    above_chance: float = Field(default=0.0, ge=0.0, lt=1.0)
    published: float | None = None
    tolerance: float = Field(
        default=0.0,
        ge=0.0,
        description="most by which a later point of a curve may lie lower without counting as a fall",
    )
    tolerance_origin: str = ""

    @model_validator(mode="after")
    def _tolerance_has_an_origin(self) -> "Bound":
        if bool(self.tolerance) is not bool(self.tolerance_origin):
            raise ValueError("a tolerance and its tolerance_origin stand together")
        return self

    def at(self, classes: int) -> float:
        """Give the threshold for a model with this many classes (0: no head, chance counts as 0)."""
        if not classes or not (self.chance_times or self.above_chance):
            return self.value
        chance = 1.0 / classes
        floor = chance + self.above_chance * (1.0 - chance) if self.above_chance else 0.0
        return max(self.value, self.chance_times * chance, floor)


class PublishedCurve(_Record):
    """A published curve: one value per layer, of a named model."""

    model: Text
    layers: tuple[int, ...]
    values: tuple[float, ...]
    origin: Text

    @model_validator(mode="after")
    def _aligned(self) -> "PublishedCurve":
        if len(self.layers) != len(self.values):
            raise ValueError(f"{len(self.layers)} layers but {len(self.values)} values in the curve of {self.model!r}")
        return self


class Published(_Record):
    """What the source reports: the number beside ours (None: only a figure or prose), and its curves by name."""

    value: float | None
    text: Text
    curves: Mapping[str, tuple[PublishedCurve, ...]] = {}


class ClaimSpec(_Record):
    """One claim of the ledger."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    code: Text
    statement: Text
    quantity: str | Mapping[str, Text] = Field(
        default="", description="words for the number that is compared with the bounds, or by bound where these differ"
    )
    place: Text
    protocol: Text
    tier: Literal["core", "extended", "report-only"]
    published: Published
    bounds: Mapping[str, Bound]
    control: Text
    needs: tuple[str, ...]
    subjects: Mapping[str, tuple[str, ...]] = Field(default={}, description="needs by role, of several models")
    family: str = Field(default="", description="a training procedure whose fits it is about, instead of a model")
    budget: int = Field(ge=2, description="most images, or members of a census, that a verdict may use")
    report_budget: int = Field(
        default=0, ge=0, description="most images where a value is only reported (0: the budget)"
    )
    pictures: int = Field(default=0, ge=0, description="images that a census looks at")
    batch: int = Field(default=0, ge=0, description="images of a batch, where a claim is about batches of them")
    delta: float = Field(gt=0.0, lt=0.5, description="error of the whole verdict, control included")
    version: int = Field(ge=1, description="rises exactly when numbers of this entry change")
    smallest_change: float = Field(
        default=SMALLEST_CHANGE,
        gt=0.0,
        description="change of an outcome from one run to another from which on it is one",
    )
    note: str = ""
    source: Source

    @field_validator("bounds")
    @classmethod
    def _bounds_are_named(cls, bounds: Mapping[str, Bound]) -> Mapping[str, Bound]:
        if not bounds:
            raise ValueError("a claim needs at least one bound")
        return bounds

    @model_validator(mode="after")
    def _words_are_of_bounds(self) -> "ClaimSpec":
        if isinstance(self.quantity, Mapping) and (wrong := sorted(set(self.quantity) - set(self.bounds))):
            raise ValueError(f"quantity has words for {wrong[0]!r}; its bounds are {', '.join(self.bounds)}")
        return self

    @field_validator("subjects")
    @classmethod
    def _several_have_names(cls, subjects: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        if len(subjects) == 1 or not all(role.isidentifier() for role in subjects):
            raise ValueError("a claim about several models names two roles or more, as Python names")
        return subjects

    @property
    def looked_at(self) -> int:
        """Give the most images that may be opened for it."""
        return max(self.budget * max(self.batch, 1), self.pictures)


FIELDS = {name for model in (ClaimSpec, Bound, Published, PublishedCurve) for name in model.model_fields}


def missing_data(needs: tuple[str, ...], images: str, have: Mapping[str, bool]) -> str | None:
    """Say which need for data is unmet, given what comes with the `images` (by the names of DATA_NEEDS)."""
    return next((DATA_NEEDS[need].format(images) for need in needs if need in DATA_NEEDS and not have[need]), None)


def read_ledger(path: Path, capabilities: frozenset[str] = frozenset()) -> dict[str, ClaimSpec]:
    """Read one ledger file into specs by id; `capabilities` are the model needs that entries may name.

    Raises ClaimsError naming file, entry and field for anything that is missing, unknown or out of range.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClaimsError(f"cannot read the ledger {path}: {' '.join(str(error).split()):.300}") from error
    if not isinstance(document, dict) or set(document) != {"source", "claims"}:
        raise ClaimsError(
            f"ledger {path}: allowed top-level keys are 'source' and 'claims', both needed; got {brief(document)}"
        )
    if not isinstance(document["claims"], list):
        raise ClaimsError(f"ledger {path}: 'claims' is {brief(document['claims'])}, not a list of entries")
    specs: dict[str, ClaimSpec] = {}
    for number, entry in enumerate(document["claims"]):
        spec = _entry(path, number, entry, document["source"])
        if spec.id in specs:
            raise ClaimsError(f"ledger {path}: claim {spec.id!r} appears twice")
        for need in (*spec.needs, *(need for needs in spec.subjects.values() for need in needs)):
            if capabilities and need not in capabilities | set(DATA_NEEDS):
                raise unknown("need", need, capabilities | set(DATA_NEEDS), f"{path}, claim {spec.id!r}")
        specs[spec.id] = spec
    return specs


def read_ledgers(root: Path, capabilities: frozenset[str] = frozenset()) -> dict[str, ClaimSpec]:
    """Read every ledger below a claims folder into one mapping by id."""
    specs: dict[str, ClaimSpec] = {}
    for path in sorted(root.rglob(LEDGER_NAME)):
        for identifier, spec in read_ledger(path, capabilities).items():
            if identifier in specs:
                raise ClaimsError(f"claim {identifier!r} stands in two ledgers, the second is {path}")
            specs[identifier] = spec
    return specs


_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where there is one: ten times as fast


class _Strict(_SafeLoader):  # type: ignore[misc, valid-type]
    """The safe loader, except that a key which stands twice is refused: the second would win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Build a mapping from keys that all differ."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        if doubled := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"the key {doubled[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _entry(path: Path, number: int, entry: object, source: object) -> ClaimSpec:
    if not isinstance(entry, dict):
        raise ClaimsError(f"ledger {path}: claim number {number + 1} is {brief(entry)}, not a mapping")
    try:
        return ClaimSpec.model_validate({**entry, "source": source})
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']} (got {e.get('input')!r:.80})" for e in error.errors()]
        name = entry.get("id", f"number {number + 1}")
        raise ClaimsError(
            f"ledger {path}, claim {brief(name)}: {wrong_fields(error.errors(), FIELDS, len(lines))}"
        ) from error
