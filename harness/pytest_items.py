"""Which items of a pytest run are claims, of which models, and beside which others."""

from typing import TYPE_CHECKING

import pytest

from harness.errors import ClaimsError
from harness.judging.discovery import MARK
from harness.judging.ledger import ClaimSpec, spec_beside

if TYPE_CHECKING:
    from harness.judging.discovery import Claim

ASKED_KEY = pytest.StashKey["Claim"]()


def benchmarked(config: pytest.Config) -> bool:
    """Tell whether pytest-benchmark is asked to keep or compare timings."""
    keep = ("benchmark_json", "benchmark_save", "benchmark_autosave", "benchmark_compare")
    return config.pluginmanager.hasplugin("benchmark") and any(config.getoption(name, None) for name in keep)


def identifier(item: pytest.Item) -> str | None:
    """Give the id of the claim that an item is, None where it is a plain test."""
    return getattr(getattr(item, "obj", None), MARK, None)


def models_of(item: pytest.Item) -> str:
    """Give the label of the models that a claim is asked of."""
    return item.callspec.id  # type: ignore[attr-defined]


def spec_of(item: pytest.Item) -> ClaimSpec:
    """Find the ledger entry of a claim in the folder of its file."""
    from harness.models.subject import CAPABILITIES

    try:
        return spec_beside(item.path, str(identifier(item)), frozenset(CAPABILITIES))
    except ClaimsError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from error


def by_models(session: pytest.Session) -> "dict[str, list[Claim]]":
    """Group the claims of a run by the models that they are asked of."""
    groups: dict[str, list[Claim]] = {}
    for item in session.items:
        if ASKED_KEY in item.stash:
            groups.setdefault(models_of(item), []).append(item.stash[ASKED_KEY])
    return groups
