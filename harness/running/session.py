"""A run over several models and claims: what is loaded when, and every outcome asked for once.

Nothing is loaded before it is needed, only the models of one group are held at a time (one model, or those that a
claim compares), and all claims of a group are measured together when the first of them is asked for.
"""

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.errors import ClaimsError, NotApplicable
from harness.judging.discovery import Claim
from harness.judging.ledger import ClaimSpec
from harness.measurement.illustrations import pictures_of
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.observed import Job
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Plan
from harness.measurement.record import record_of
from harness.measurement.runner import checked, keys_of, run
from harness.measurement.schedule import NO_END, Clock
from harness.measurement.sequential import Outcome
from harness.measurement.settings import Advance, silent
from harness.measurement.verdict_ground import fingerprints
from harness.models.groups import ModelGroup, lone
from harness.models.subject import ModelCard
from harness.report.escaping import portable
from harness.results.measurements import MeasurementKey, Store
from harness.results.record import Context, RunRecord
from harness.results.recorder import Opened, Recorder
from harness.running.answers import Answer, Refusal, Unreached, record_of_answer
from harness.running.applicable import job_of
from harness.running.context import context_of_models
from harness.running.loaded_models import LoadedModels
from harness.running.options import RunOptions
from harness.running.preflight import check_models
from harness.running.run_images import picture_notes, unmatched_notes
from harness.running.whom import NO_MODELS, cards, groups_for
from harness.trainings.families import family_entry

FIRST_SECONDS = 1.0  # of measuring in any run, though loading took all its time: the same command must get on


@dataclass
class _Loaded:
    """The one group of models in memory, with what has been found out about it."""

    cohort: ModelGroup
    images: OnImages
    context: Context
    outcomes: dict[str, Answer] = field(default_factory=dict)
    merged: bool = False
    clock: Clock = NO_END


class Session:
    """Answers "what is the outcome of this claim on this model", measuring as little as possible.

    Without a cache measurements are held in memory, or with `scratch` in a folder for other processes until the end.
    """

    def __init__(
        self,
        options: RunOptions,
        advance: Advance = silent,
        run: str | None = None,
        scratch: bool = False,
        fell: Callable[[RunRecord], None] | None = None,
    ) -> None:
        self.options, self.advance, self.fell = options, advance, fell
        self.clock = Clock.of(None if options.minutes is None else 60.0 * options.minutes)
        self.groups_ahead = 1  # of models to be measured: they share the time
        self.entries, self.left_out = check_models(options)
        self.cohorts = {name: lone(name) for name in self.entries}
        self._scratch = TemporaryDirectory() if scratch and options.cache is None else None
        self.store = Store(Path(self._scratch.name) if self._scratch else options.cache)
        self._shelf = LoadedModels(options, self.entries, self.store)
        self.recorder = Recorder(options.history, run)
        self._loaded: _Loaded | None = None
        self._begun = False
        self._unloadable: dict[str, str] = {}  # groups of models by what loading them raised
        self.opened: dict[str, Opened] = {}
        self.fitted_on: dict[str, Opened] = {}
        self.one_by_one: dict[str, str] = {}  # models whose merged run raised, with what it raised
        self.unmatched: dict[str, str] = {}  # claims about several models that no models of this run fit, with why
        self.remarks: list[str] = []  # of processes that measured for this one

    def cards_for(self, spec: ClaimSpec | None, told: bool = True) -> tuple[dict[str, tuple[ModelCard, ...]], str]:
        """List whom a claim is asked of (`groups_for`), cards by label; else why none, in the notes too if `told`."""
        found, why = groups_for(spec, self.entries, self.options)
        whole = {name for group in found for name in group.roles.values()}
        self.entries.update((name, family_entry(name)) for name in whole - set(self.entries))
        self.cohorts |= {group.label: group for group in found}
        if spec is not None and told and why not in ("", NO_MODELS):
            self.unmatched[spec.id] = why
        named = cards(self.entries)
        return {group.label: tuple(named[name] for name in group.roles.values()) for group in found}, why

    def by_models(self, claims: Iterable[Claim]) -> dict[str, list[Claim]]:
        """Group claims by the label of the models that they are asked of."""
        groups: dict[str, list[Claim]] = {}
        for claim in claims:
            for label in self.cards_for(claim.spec)[0]:
                groups.setdefault(label, []).append(claim)
        return groups

    def outcome(self, model: str, asked: Claim, beside: Sequence[Claim], merge: bool = True) -> Answer:
        """Give one outcome, or raise what measuring raises; the claims `beside` it are measured in the same passes."""
        loaded = self._load(model, beside)
        if merge and not loaded.merged:
            clock = self.clock.share(max(1, self.groups_ahead))
            loaded.merged, loaded.clock = True, clock if self._begun else clock.at_least(FIRST_SECONDS)
            self._begun, self.groups_ahead = True, self.groups_ahead - 1
            self._merge(loaded, beside)
        if asked.spec.id not in loaded.outcomes:
            loaded.outcomes[asked.spec.id] = self._alone(loaded, asked)
        return loaded.outcomes[asked.spec.id]

    def record(self, model: str, asked: Claim, beside: Sequence[Claim], merge: bool = True) -> RunRecord:
        """Give one outcome as a record."""
        answer = self.outcome(model, asked, beside, merge)
        record = record_of_answer(answer, asked, model, self._load(model, beside).context)
        return record.but(run=self.recorder.run)

    def ground(self, model: str, asked: Claim, beside: Sequence[Claim]) -> dict[str, str]:
        """Fingerprint what a verdict of today would rest on, without measuring anything."""
        loaded = self._load(model, beside)
        plan: Plan | None = None
        keys: list[MeasurementKey] = []
        try:
            job = job_of(asked, loaded.images)
            plan, keys = job.plan, keys_of(job, loaded.images)
        except NotApplicable:
            pass  # a refusal rests on no plan and no numbers
        return fingerprints(asked.function, asked.spec, loaded.context, plan, keys)

    def records(self, model: str, asked: Sequence[Claim]) -> dict[str, RunRecord]:
        """Give the records of claims by id; one that raises is left out, to raise again where it is asked for alone."""
        found = {}
        for one in asked:
            try:
                found[one.spec.id] = self.record(model, one, asked)
            except Exception:  # noqa: BLE001 - not swallowed: raised again in the test of this claim
                continue
        return found

    def keep(self, record: RunRecord) -> None:
        """Put a finished record into the history, with its outcomes per image."""
        self.recorder.keep(record, self.store, self.opened[record.model])

    def fresh(self, model: str, asked: Claim, beside: Sequence[Claim]) -> Callable[[], Outcome]:
        """Prepare one claim to be measured alone and without the cache, for timing.

        Raises NotApplicable where the claim cannot be asked.
        """
        loaded = self._load(model, beside)
        job = job_of(asked, loaded.images)

        def measure() -> Outcome:
            store = Store(None)
            alone = {
                role: LoadedModel(model.subject, model.images, store, model.settings, model.train)
                for role, model in loaded.images.by_role.items()
            }
            return run([job], OnImages(alone))[asked.spec.id]

        return measure

    def notes(self) -> list[str]:
        """List what a reader of the results must know: what names stand for, and pictures that were left out."""
        notes = [*self.left_out, *(f"{one.name}: {one.note}" for one in self.entries.values() if one.note)]
        notes += picture_notes(self.opened, self.fitted_on)
        for bench in self._shelf.by_name.values():
            if not (left := len(bench.images) - bench.usable):
                continue
            notes.append(f"the last {left} picture is not used: alone in its chunk, it has none to exchange with")
        for model, raised in self.one_by_one.items():
            notes.append(
                f"{model}: its claims were measured one by one, because measuring them together raised {raised}"
            )
        notes += unmatched_notes(self.unmatched)
        return list(dict.fromkeys(map(portable, [*notes, *self.remarks])))

    def close(self) -> None:
        """Close the store and forget the model."""
        self._loaded = None
        self._shelf.clear()
        self.store.close()
        if self._scratch:
            self._scratch.cleanup()
        self.recorder.close()

    def _merge(self, loaded: _Loaded, beside: Sequence[Claim]) -> None:
        """Measure every claim that can be asked in shared passes.

        If one of them raises, nothing is decided here: each claim is then measured alone in its own test, where the
        guilty one raises again, and what was stored is used.
        """
        jobs = []
        for asked in beside:
            try:
                jobs.append(checked(job_of(asked, loaded.images), loaded.images))
            except NotApplicable as refusal:
                loaded.outcomes[asked.spec.id] = Refusal(str(refusal))
            except Exception:  # noqa: BLE001 - not swallowed: raised again by _alone in the test of this claim
                continue
        try:
            loaded.outcomes |= self._run(jobs, loaded)
        except Exception:  # noqa: BLE001 - not swallowed: raised again by _alone in the test of the guilty claim
            self.one_by_one[loaded.cohort.label] = traceback.format_exc().strip().splitlines()[-1]

    def _alone(self, loaded: _Loaded, asked: Claim) -> Answer:
        try:
            return self._run([job_of(asked, loaded.images)], loaded).get(asked.spec.id, Unreached())
        except NotApplicable as refusal:
            return Refusal(str(refusal))

    def _run(self, jobs: Sequence[Job], loaded: _Loaded) -> dict[str, Outcome]:
        """Measure jobs, and let their outcomes carry the pictures that show what was done or found."""

        def fell(outcome: Outcome) -> None:
            if self.fell is not None:
                self.fell(record_of(outcome, loaded.cohort.label, loaded.context))

        outcomes = run(jobs, loaded.images, self.advance, loaded.clock, fell)
        reached = [job for job in jobs if job.spec.id in outcomes]
        shown = {job.spec.id: pictures_of(job.plan, loaded.images, job.spec.pictures) for job in reached}
        return {name: replace(outcome, pictures=shown[name]) for name, outcome in outcomes.items()}

    def _load(self, model: str, beside: Sequence[Claim]) -> _Loaded:
        if model in self._unloadable:
            raise ClaimsError(self._unloadable[model])
        if self._loaded is None or self._loaded.cohort.label != model:
            self._loaded = None  # the old models leave memory before the new ones come
            cohort = self.cohorts[model]
            budget = max((asked.spec.looked_at for asked in beside), default=1)
            try:
                images = self._shelf.take(cohort, budget)
            except ClaimsError as error:
                self._unloadable[model] = str(error)
                raise
            self.opened[model] = Opened.of(images.models[0].images)
            if (train := images.models[0].train) is not None:
                self.fitted_on[model] = Opened.of(train)
            by_role = {role: self.entries[name] for role, name in cohort.roles.items()}
            self._loaded = _Loaded(cohort, images, context_of_models(by_role, images.by_role, self.options))
        return self._loaded
