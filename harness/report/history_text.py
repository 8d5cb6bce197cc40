"""The course of one claim on one model over its runs, as text: one line per run, drawn on one scale."""

from collections.abc import Mapping, Sequence

from harness.report.verdict_text import number
from harness.results.record import FindingRecord, RunRecord

COLUMNS = 41  # of the strip that the effects are drawn on
RUN_SHOWN = 8  # characters of a run id


def course(records: Sequence[RunRecord]) -> str:
    """Draw the effects of records, oldest first: o the effect, - its interval, | the bound.

    Records without an effect (not applicable) have a line without a strip.
    """
    low, high = _scale([record.effect for record in records if record.effect is not None])
    lines = [
        f"{'time':<16}  {'run':<{RUN_SHOWN}}  {'verdict':<14}  {'images':>6}  {'effect':>7}  {low:<.3g} to {high:.3g}"
    ]
    for record in records:
        effect = record.effect
        shown = "-" if effect is None else number(effect.estimate)
        strip = "" if effect is None else _strip(effect, low, high)
        lines.append(
            f"{record.time[:16].replace('T', ' ')}  {record.run[:RUN_SHOWN]}  {record.verdict:<14}  "
            f"{record.images:>6}  {shown:>7}  {strip}".rstrip()
        )
    return "\n".join(lines)


def seeds_told(records: Sequence[RunRecord], seeds: Mapping[tuple[str, str], Sequence[int]]) -> list[str]:
    """Say which of these claims were measured with more than one seed: one sentence per model and set of seeds.

    Each seed draws another order of the pictures and is another chance to be wrong, so that a verdict that was looked
    for among several seeds errs more often than it declares.
    """
    groups: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for record in records:
        tried = tuple(seeds.get((record.claim, record.model), ()))
        if len(tried) > 1 and record.asked:
            groups.setdefault((record.model, tried), []).append(record.claim)
    return [
        f"{model}: {', '.join(dict.fromkeys(claims))}: tried with {len(tried)} seeds ({', '.join(map(str, tried))}) by "
        f"the history; a verdict picked among them may be wrong up to {len(tried)} times as often as declared"
        for (model, tried), claims in groups.items()
    ]


def _scale(effects: Sequence[FindingRecord]) -> tuple[float, float]:
    """Take in every effect, interval and bound, on the scale from 0 to 1 where they all fit."""
    ends = [0.0, 1.0]
    for effect in effects:
        ends += [value for value in (effect.estimate, effect.bound, *(effect.interval or ())) if value is not None]
    return min(ends), max(ends)


def _strip(effect: FindingRecord, low: float, high: float) -> str:
    cells = [" "] * COLUMNS
    if effect.interval is not None and None not in effect.interval:
        first, last = (_place(end, low, high) for end in effect.interval if end is not None)
        cells[first : last + 1] = "-" * (last + 1 - first)
    if effect.bound is not None:
        cells[_place(effect.bound, low, high)] = "|"
    if effect.estimate is not None:
        cells[_place(effect.estimate, low, high)] = "o"
    return "".join(cells).rstrip()


def _place(value: float, low: float, high: float) -> int:
    return min(int((value - low) / (high - low) * COLUMNS), COLUMNS - 1)
