"""What a verdict was reached with, as fingerprints, and which of them have changed since: then the verdict is stale."""

import ast
import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness.spec import ClaimSpec
from harness.store import Store

# Every part of a verdict's ground, with the words for a change of it.
PARTS = {
    "claim": "code of the claim",
    "ledger": "numbers in the ledger",
    "measuring": "code of the harness or the model behind its numbers",
    "libraries": "libraries",
    "images": "pictures",
    "train": "training pictures",
    "weights": "weights",
}
LEDGER_FIELDS = ("bounds", "needs", "budget", "report_budget", "pictures", "delta", "version")
LENGTH = 16  # hexadecimal digits: enough to tell a change


def fingerprints(
    function: Callable[..., Any], spec: ClaimSpec, record: Mapping[str, Any], store: Store
) -> dict[str, str]:
    """Fingerprint everything that a record rests on, by the names of PARTS."""
    context = record["context"]
    keys = [store.key(identifier) for identifier in set(record.get("arms", {}).values())]
    code = sorted({(key.subject_code, key.intervention_code, key.readout_code) for key in keys})
    versions = sorted({key.libraries for key in keys})
    ledger = spec.model_dump_json(include=set(LEDGER_FIELDS))
    found = {
        "claim": claim_code(Path(inspect.getfile(function)), function.__name__),
        "ledger": _short(ledger),
        "measuring": _short(repr(code)),
        "images": context["image_fingerprint"],
        "train": _short(repr(context["train_images"])),
        "weights": context["weights"],
    }
    return {**{name: value[:LENGTH] for name, value in found.items()}, "libraries": "; ".join(versions)}


def claim_code(path: Path, name: str) -> str:
    """Fingerprint a claim function with the rest of its file, but without the other claims and without comments."""
    return _claim_code(path, path.stat().st_mtime_ns, name)


def changed_parts(before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> tuple[str, ...]:
    """Say in words what has changed between two verdicts; nothing where one of them tells no fingerprints."""
    if not before or not now:
        return ()
    changed = {part: words for part, words in PARTS.items() if before.get(part) != now.get(part)}
    if "libraries" in changed:
        changed["libraries"] += f" ({before.get('libraries', 'not told')} to {now.get('libraries', 'not told')})"
    return tuple(changed.values())


@cache
def _claim_code(path: Path, changed: int, name: str) -> str:
    """Read the file once as of the time that it was `changed`."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    module.body = [node for node in module.body if node not in tests or getattr(node, "name", None) == name]
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return _short(ast.dump(module))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
