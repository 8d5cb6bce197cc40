"""Which items of a pytest run are claims, of which models, and beside which others."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import ClaimsError
from harness.judging.mark import MARK

if TYPE_CHECKING:
    from harness.judging.discovery import Claim
    from harness.judging.ledger import ClaimSpec

ASKED_KEY = pytest.StashKey["Claim"]()
NOBODY = "none"  # where the label of models would stand, for a claim that no models of a run fit


def benchmarked(config: pytest.Config) -> bool:
    """Tell whether pytest-benchmark is asked to keep or compare timings."""
    keep = ("benchmark_json", "benchmark_save", "benchmark_autosave", "benchmark_compare")
    return config.pluginmanager.hasplugin("benchmark") and any(config.getoption(name, None) for name in keep)


def identifier(item: pytest.Item) -> str | None:
    """Give the id of the claim that an item is, None where it is a plain test."""
    return getattr(getattr(item, "obj", None), MARK, None)


def models_of(item: pytest.Item) -> str:
    """Give the label of the models that a claim is asked of; other plugins may put more into the name of the item."""
    from harness.models.groups import VERSUS
    from harness.models.subject import ModelCard

    values = item.callspec.params.values()  # type: ignore[attr-defined]
    return VERSUS.join(value.name for value in values if isinstance(value, ModelCard)) or NOBODY


def spec_of(item: pytest.Item) -> "ClaimSpec":
    """Find the ledger entry of a claim in the folder of its file."""
    from harness.judging.catalogue import spec_beside
    from harness.models.subject import CAPABILITIES

    try:
        return spec_beside(item.path, str(identifier(item)), frozenset(CAPABILITIES))
    except ClaimsError as error:
        from harness.report.escaping import paragraphs

        raise pytest.UsageError(paragraphs(f"{item.nodeid}: {error}")) from error


def by_models(session: pytest.Session) -> "dict[str, list[Claim]]":
    """Group the claims of a run by the models that they are asked of; one that is repeated counts once."""
    groups: dict[str, dict[str, Claim]] = {}
    for item in session.items:
        if ASKED_KEY in item.stash:
            asked = item.stash[ASKED_KEY]
            groups.setdefault(models_of(item), {}).setdefault(asked.spec.id, asked)
    return {models: list(claims.values()) for models, claims in groups.items()}


def claims_of_run(config: pytest.Config, files: Iterable[Path]) -> set[str]:
    """List the ids in all ledgers of a run: below the folders that it names, and beside the files that it collected.

    What is collected may be less: `--lf` skips files in which nothing failed.
    """
    from harness.judging.catalogue import checked_ledger
    from harness.judging.ledger import LEDGER_NAME

    places = [Path(str(config.invocation_params.dir), argument.split("::")[0]) for argument in config.args]
    found = {path.parent / LEDGER_NAME for path in files}
    for place in places:
        found |= set(place.rglob(LEDGER_NAME)) if place.is_dir() else {place.parent / LEDGER_NAME}
    ledgers = [ledger for ledger in found if ledger.is_file()]
    return {name for ledger in ledgers for name in checked_ledger(ledger)}


def of_other_shards(items: list[pytest.Item], shard: tuple[int, int] | None) -> list[pytest.Item]:
    """List the claims that other machines ask."""
    if shard is None:
        return []
    from harness.running.shards import in_shard

    mine = in_shard([(models_of(item), item.nodeid) for item in items], *shard)
    return [item for item, kept in zip(items, mine, strict=True) if not kept]
