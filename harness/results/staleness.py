"""What a verdict was reached with, as fingerprints, and which of them have changed since: then the verdict is stale."""

from collections.abc import Mapping

# Every part of a verdict's ground, with the words for a change of it.
PARTS = {
    "claim": "code of the claim",
    "ledger": "numbers in the ledger",
    "measuring": "code of the harness or the model behind its numbers",
    "judging": "code that judges",
    "libraries": "libraries",
    "images": "pictures",
    "train": "training pictures",
    "weights": "weights",
}


def changed_parts(before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> tuple[str, ...]:
    """Say in words what has changed between two verdicts; nothing where one of them tells no fingerprints."""
    if not before or not now:
        return ()
    changed = {part: words for part, words in PARTS.items() if before.get(part) != now.get(part)}
    if "libraries" in changed:
        changed["libraries"] += f" ({before.get('libraries', 'not told')} to {now.get('libraries', 'not told')})"
    return tuple(changed.values())
