"""Claims without pytest: `harness.run` measures them on models and gives their records."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.judging.catalogue import claims_below
from harness.judging.discovery import Claim, chosen
from harness.measurement.settings import Advance, silent
from harness.results.record import RunRecord
from harness.running.options import parse
from harness.running.session import Session


def run(
    models: str | Sequence[str] = (),
    *,
    claims: str | Sequence[str] = (),
    folder: str | Path = "claims",
    data: str | Path | None = None,
    train_data: str | Path | None = None,
    max_images: int | None = None,
    cache: str | Path | None = None,
    progress: Advance = silent,
    **options: Any,
) -> list[RunRecord]:
    """Measure claims on models and return their records, in the order of models and claims.

    `models` and `claims` are as for `--model` and `--claim` (none: all), `options` the others of the command line
    (`delta=0.05`, `claims_seed=1`). Without a `cache` folder nothing is kept. `progress` is told what is done of what.

        >>> import harness
        >>> (record,) = harness.run("tiny_vit", claims="cls-last-shuffle-hits-floor", max_images=64)
        >>> record.verdict
        'inconclusive'

    Raises ClaimsError for names, pictures and options that do not exist, and what measuring a claim raises.
    """
    values = {
        **options,
        "model": _listed(models),
        "data": None if data is None else str(data),
        "train_data": None if train_data is None else str(train_data),
        "max_images": max_images,
        "claims_cache": None if cache is None else str(cache),
        "claims_no_cache": cache is None,
        "claims_no_history": cache is None,
    }
    picked = chosen(claims_below(Path(folder)), _listed(claims), "claim", "claims of harness.run")
    session = Session(parse(values, {}), progress)
    try:
        return list(_records(session, picked.values()))
    finally:
        session.close()


def _records(session: Session, claims: Iterable[Claim]) -> Iterator[RunRecord]:
    """Measure model by model, all claims of one together, and keep every record."""
    groups = session.by_models(claims)
    session.groups_ahead = len(groups)
    for label, group in groups.items():
        for claim in group:
            record = session.record(label, claim, group)
            session.keep(record)
            yield record


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
