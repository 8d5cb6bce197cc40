"""What a night amounts to: failures and warnings, from its records, what was accepted, and what it took.

Only a verdict that is not the accepted one, or that is not there, is a failure. Everything else that may announce one
is a warning: outcomes that drift without crossing a bound, models that take more block evaluations, ground that changed
under a verdict, and claims that nobody has accepted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.judging.paired_change import ERROR
from harness.models.groups import models_of
from harness.regression.comparison import ArmChange, Comparison
from harness.report.verdict_text import number
from harness.results.baselines import CONDITIONS
from harness.results.record import RunRecord
from harness.results.staleness import changed_parts

NAMED = 6  # claims of one kind that a line names
Accepted = Mapping[str, Mapping[str, Any]]
Records = Sequence[RunRecord]
ROUNDING = 1e-6  # of sums of shares


@dataclass(frozen=True, kw_only=True)
class Night:
    """What was found: lines of text, and one line that says what was looked at."""

    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    looked_at: tuple[str, ...]

    @property
    def headline(self) -> str:
        """Say it in a few words."""
        if not (self.failures or self.warnings):
            return "nothing changed"
        return f"{_count(len(self.failures), 'failure')}, {_count(len(self.warnings), 'warning')}"

    def markdown(self) -> str:
        """Tell it all as a short page."""
        parts = [f"# Claims, nightly: {self.headline}", "\n".join(f"- {line}" for line in self.looked_at)]
        for title, lines in (("Failures", self.failures), ("Warnings", self.warnings)):
            if lines:
                parts.append(f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines))
        return "\n\n".join(parts) + "\n"


def verdict_failures(records: Records, accepted: Accepted, asked: Collection[tuple[str, str]]) -> list[str]:
    """List verdicts that are not the accepted ones, and accepted ones among those `asked` for that are not there."""
    lines = []
    judged = [record for record in records if not record.out_of_time]
    found = {(record.model, record.claim) for record in judged}
    for record in judged:
        expected = accepted.get(record.model, {}).get("verdicts", {}).get(record.claim)
        if expected is not None and expected["verdict"] != record.verdict:
            was, now = expected.get("effect"), None if record.effect is None else record.effect.estimate
            lines.append(
                f"{record.model}: {record.claim}: the verdict changed from {expected['verdict']} (effect "
                f"{number(was)}) to {record.verdict} (effect {number(now)}): {record.reason}"
            )
    for model, claim in sorted(set(asked) - found):
        verdict = accepted[model]["verdicts"][claim]["verdict"]
        lines.append(f"{model}: {claim}: accepted as {verdict}, but without a verdict tonight")
    return lines


def unaccepted(records: Records, accepted: Accepted) -> list[str]:
    """List the claims of each model that nobody has accepted yet."""
    new: dict[str, list[str]] = {}
    for record in records:
        if record.claim not in accepted.get(record.model, {}).get("verdicts", {}):
            new.setdefault(record.model, []).append(f"{record.claim} ({record.verdict})")
    return [f"{model}: not accepted yet: {_named(claims)}" for model, claims in new.items()]


def more_work(records: Records, previous: Mapping[tuple[str, str], RunRecord]) -> list[str]:
    """Say which models took more block evaluations than in their last run; counted, so exact to the last one.

    Compared are runs that measured the same claims anew on as many images: shares of a pass depend on who shares it.
    """
    lines = []
    for model in dict.fromkeys(record.model for record in records):
        now = [record for record in records if record.model == model]
        then = [previous[model, record.claim] for record in now if (model, record.claim) in previous]
        measured = [[(one.claim, one.measured_images) for one in night] for night in (now, then)]
        work = [sum(one.block_evaluations for one in night) for night in (now, then)]
        if measured[0] == measured[1] and work[1] and work[0] > work[1] * (1 + ROUNDING):
            lines.append(f"{model}: {work[0] / work[1]:.2f} times the block evaluations of its last run")
    return lines


def stale(records: Records, accepted: Accepted, previous: Mapping[tuple[str, str], RunRecord]) -> list[str]:
    """Say which verdicts were accepted (or else last reached, by (model, claim)) on other ground than tonight's."""
    groups: dict[tuple[str, str], list[str]] = {}
    for record in records:
        model, claim = record.model, record.claim
        entry = accepted.get(model, {})
        expected = entry.get("verdicts", {}).get(claim)
        if expected is not None:
            since, before = "acceptance", expected.get("fingerprints")
            parts = [*changed_parts(before, record.fingerprints), *_conditions(entry, record)]
            if not before:
                parts.append("unknown: it was accepted without fingerprints")
        else:
            since, last = "the last run", previous.get((model, claim))
            parts = [] if last is None else list(changed_parts(last.fingerprints, record.fingerprints))
        if parts:
            groups.setdefault((f"{', '.join(parts)} changed since {since}", model), []).append(claim)
    return [f"{model}: stale ({why}): {_named(claims)}" for (why, model), claims in groups.items()]


def drifts(comparison: Comparison, accepted: Accepted) -> list[str]:
    """Tell every claim with arms that changed more than chance allows, by its most evident arm."""
    lines: list[str] = []
    by_claim: dict[tuple[str, str], list[ArmChange]] = {}
    for one in comparison.drifts():
        by_claim.setdefault((one.model, one.claim), []).append(one)
    for (model, claim), arms in by_claim.items():
        first = arms[0]
        before, after = first.change.means
        lines.append(
            f"{model}: {claim}: outcomes drifted in {_count(len(arms), 'arm')}; {first.arm}: mean {before:.4f} to "
            f"{after:.4f} on {first.change.images} images ({first.change.fell} fell, {first.change.rose} rose, "
            f"p = {first.p:.2g} among all arms, where {ERROR:g} is asked for)"
        )
    for model, claim, why in comparison.unpaired:
        if claim in accepted.get(model, {}).get("verdicts", {}):
            lines.append(f"{model}: {claim}: its outcomes cannot be compared with the accepted ones: {why}")
    return lines


def asked_for(accepted: Accepted, models: Collection[str], claims: Collection[str]) -> set[tuple[str, str]]:
    """List the accepted (model, claim) that a run over these models and claims must answer; empty means all."""
    return {
        (model, claim)
        for model, entry in accepted.items()
        for claim in entry["verdicts"]
        if (not models or models_of(model) <= set(models)) and (not claims or claim in claims)
    }


def _conditions(entry: Mapping[str, Any], record: RunRecord) -> list[str]:
    """Name the conditions of the run that differ from those of the acceptance, but for the pictures themselves."""
    then, now = entry.get("conditions", {}), record.context
    names = [name for name in CONDITIONS if name not in ("image_fingerprint", "train_images")]
    pairs = [(name, then.get(name), getattr(now, name)) for name in names]
    return [f"{name} ({before!r} to {after!r})" for name, before, after in pairs if before != after]


def _named(claims: Sequence[str]) -> str:
    more = f" and {len(claims) - NAMED} more" if len(claims) > NAMED else ""
    return ", ".join(claims[:NAMED]) + more


def _count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}{'' if number_of == 1 else 's'}"
