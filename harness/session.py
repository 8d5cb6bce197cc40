"""A run over several models and claims: what is loaded when, and every outcome asked for once.

Nothing is loaded before it is needed, one model is held at a time, and all claims of a model are measured together
when the first of them is asked for.
"""

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from harness.bench import Bench, Settings
from harness.embedded_switches import is_embedded
from harness.errors import ClaimsError, NotApplicable
from harness.images import ImageSet
from harness.measure import Advance, run, silent
from harness.models import EMBEDDED, ModelEntry, resolve
from harness.options import RunOptions
from harness.plan import ClaimFunction, propose
from harness.recording import Recorder
from harness.report.context import context_of
from harness.report.record import record_of, record_of_refusal
from harness.run_images import EMBEDDED_CLASSES, measured_images, training_images
from harness.spec import ClaimSpec, missing_data
from harness.staleness import fingerprints
from harness.store import Store
from harness.trial import Job, Outcome


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One claim asked of one model."""

    spec: ClaimSpec
    function: ClaimFunction


@dataclass(frozen=True)
class Refusal:
    """Why a claim cannot be asked of this model."""

    reason: str


@dataclass
class _Loaded:
    """The one model in memory, with what has been found out about it."""

    entry: ModelEntry
    bench: Bench
    outcomes: dict[str, Outcome | Refusal] = field(default_factory=dict)
    merged: bool = False


class Session:
    """Answers "what is the outcome of this claim on this model", measuring as little as possible."""

    def __init__(self, options: RunOptions, advance: Advance = silent, run: str | None = None) -> None:
        self.options, self.advance = options, advance
        self.entries = _by_name(map(self._resolve, options.models or EMBEDDED))
        self._check_device()
        self._check_data()
        self.store = Store(options.cache)
        self.recorder = Recorder(options.history, run)
        self._loaded: _Loaded | None = None
        self.opened: dict[str, ImageSet] = {}
        self.one_by_one: dict[str, str] = {}  # models whose merged run raised, with what it raised

    def outcome(self, model: str, asked: Asked, beside: Sequence[Asked], merge: bool = True) -> Outcome | Refusal:
        """Give one outcome; the claims `beside` it are measured in the same passes.

        Raises what measuring this claim raises.
        """
        loaded = self._load(model, beside)
        if merge and not loaded.merged:
            loaded.merged = True
            self._merge(loaded, beside)
        if asked.spec.id not in loaded.outcomes:
            loaded.outcomes[asked.spec.id] = self._alone(loaded.bench, asked)
        return loaded.outcomes[asked.spec.id]

    def record(self, model: str, asked: Asked, beside: Sequence[Asked], merge: bool = True) -> dict[str, Any]:
        """Give one outcome as a record, and keep it in the store's history."""
        outcome = self.outcome(model, asked, beside, merge)
        context = context_of(self.entries[model], self._load(model, beside).bench, self.options)
        if isinstance(outcome, Refusal):
            record = record_of_refusal(asked.spec, model, outcome.reason, context)
        else:
            record = record_of(outcome, model, context)
        record["run"] = self.recorder.run
        record["fingerprints"] = fingerprints(asked.function, asked.spec, record, self.store)
        self.store.record(asked.spec.id, model, record)
        return record

    def keep(self, record: Mapping[str, Any]) -> None:
        """Put a finished record into the history, with its outcomes per image."""
        self.recorder.keep(record, self.store, self.opened[record["model"]])

    def fresh(self, model: str, asked: Asked, beside: Sequence[Asked]) -> Callable[[], Outcome]:
        """Prepare one claim to be measured alone and without the cache, for timing.

        Raises NotApplicable where the claim cannot be asked.
        """
        bench = self._load(model, beside).bench
        job = self._job(bench, asked)

        def measure() -> Outcome:
            alone = Bench(bench.subject, bench.images, Store(None), bench.settings, bench.train)
            return run([job], alone)[asked.spec.id]

        return measure

    def notes(self) -> list[str]:
        """List what a reader of the results must know: what names stand for, and pictures that were left out."""
        notes = [f"{entry.name}: {entry.note}" for entry in self.entries.values() if entry.note]
        for images in self.opened.values():
            if images.left_out:
                count, shown = len(images.left_out), "; ".join(images.left_out[:5])
                notes.append(f"{images.name}: {count} picture(s) left out: {shown}{' ...' if count > 5 else ''}")
        if self._loaded is not None and (left := len(self._loaded.bench.images) - self._loaded.bench.usable):
            notes.append(f"the last {left} picture is not used: alone in its chunk, it has none to exchange with")
        for model, raised in self.one_by_one.items():
            notes.append(
                f"{model}: its claims were measured one by one, because measuring them together raised {raised}"
            )
        return list(dict.fromkeys(notes))

    def close(self) -> None:
        """Close the store and forget the model."""
        self._loaded = None
        self.store.close()
        self.recorder.close()

    def _merge(self, loaded: _Loaded, beside: Sequence[Asked]) -> None:
        """Measure every claim that can be asked in shared passes.

        If one of them raises, nothing is decided here: each claim is then measured alone in its own test, where the
        guilty one raises again, and what was stored is used.
        """
        jobs = []
        for asked in beside:
            try:
                jobs.append(self._job(loaded.bench, asked))
            except NotApplicable as refusal:
                loaded.outcomes[asked.spec.id] = Refusal(str(refusal))
            except Exception:  # noqa: BLE001 - not swallowed: raised again by _alone in the test of this claim
                continue
        try:
            loaded.outcomes |= run(jobs, loaded.bench, self.advance)
        except Exception:  # noqa: BLE001 - not swallowed: raised again by _alone in the test of the guilty claim
            self.one_by_one[loaded.entry.name] = traceback.format_exc().strip().splitlines()[-1]

    def _alone(self, bench: Bench, asked: Asked) -> Outcome | Refusal:
        try:
            return run([self._job(bench, asked)], bench, self.advance)[asked.spec.id]
        except NotApplicable as refusal:
            return Refusal(str(refusal))

    def _job(self, bench: Bench, asked: Asked) -> Job:
        """Ask for the plan of a claim on the loaded model; NotApplicable with the reason where it has none."""
        card = bench.subject.card
        labels, train = bench.images.labels is not None, bench.train is not None
        reason = card.missing(asked.spec.needs) or missing_data(
            asked.spec.needs, bench.images.name, labels=labels, train=train
        )
        if reason:
            raise NotApplicable(reason)
        plan = propose(asked.function, asked.spec, card)
        if bench.train is None and any(arm.readout.fits for arm in plan.arms.values()):
            raise NotApplicable("it needs fitted probes, and no training images are given (--train-data)")
        return Job(spec=asked.spec, plan=plan)

    def _load(self, model: str, beside: Sequence[Asked]) -> _Loaded:
        if self._loaded is None or self._loaded.entry.name != model:
            self._loaded = None  # the old model leaves memory before the new one comes
            entry = self.entries[model]
            budget = max((asked.spec.budget for asked in beside), default=1)
            images = self.opened[model] = measured_images(self.options, entry.card, budget)
            subject = entry.load(self.options.device, getattr(torch, self.options.dtype))
            train = training_images(self.options, entry.card, images)
            bench = Bench(subject, images, self.store, settings_of(self.options), train)
            self._loaded = _Loaded(entry, bench)
        return self._loaded

    def _resolve(self, text: str) -> ModelEntry:
        if self.options.pretrained:
            return resolve(text)
        own = is_embedded(self.options.data)
        return resolve(text, pretrained=False, classes=EMBEDDED_CLASSES if own else None)

    def _check_device(self) -> None:
        try:
            torch.empty(1, device=self.options.device)
        except (RuntimeError, AssertionError) as error:
            raise ClaimsError(f"device {self.options.device!r} in --device cannot be used: {error}") from error

    def _check_data(self) -> None:
        """Refuse models whose labels the images cannot have, or whose weights are out of reach, all in one message."""
        problems = []
        for entry in self.entries.values():
            missing = entry.missing()
            if missing:
                problems.append(missing)
            if is_embedded(self.options.data) and entry.card.classes not in (0, EMBEDDED_CLASSES):
                problems.append(
                    f"{entry.name} answers {entry.card.classes} classes; the embedded pictures have "
                    f"{EMBEDDED_CLASSES}. Give pictures of its classes: --data FOLDER (one sub-folder per synset, or "
                    "images/ with labels.csv)."
                )
        if problems:
            raise ClaimsError("\n".join(problems))


def settings_of(options: RunOptions) -> Settings:
    """Pick what the measuring depends on."""
    return Settings(
        batch_size=options.batch_size,
        delta=options.delta,
        max_images=options.max_images,
        seed=options.seed,
        device=options.device,
        dtype=options.dtype,
        population=options.population,
    )


def _by_name(entries: Iterable[ModelEntry]) -> dict[str, ModelEntry]:
    """Key models by the name under which their results are kept; two of one name would be told apart by nothing."""
    named: dict[str, ModelEntry] = {}
    for entry in entries:
        if entry.name in named:
            raise ClaimsError(
                f"two models are called {entry.name!r} ({named[entry.name].resolved} and {entry.resolved}) in --model; "
                "give a checkpoint another name with PATH,arch=...,name=LABEL"
            )
        named[entry.name] = entry
    return named
