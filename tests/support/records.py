"""Records of runs written by hand, for everything that shows them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.files import write_whole
from harness.judging.ledger import ClaimSpec
from harness.results.acceptance import baseline_bytes, merge_verdicts
from harness.results.baselines import accepted
from harness.results.measurements import Store
from harness.results.record import RunRecord

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onmouseover='alert(1)' x=\"",
    "newline": "first\nFAILED second\r\nthird",
    "right to left": "abc\u202egnp.exe\u2066\u200f",
    "terminal": "red\x1b[31m\x1b]0;title\x07\x9b2Jcleared",
    "formula": '=HYPERLINK("http://example.org","x")',
    "plus": "+1+1",
    "at": "@SUM(A1)",
    "markdown": "`| [x](javascript:alert(1)) **b** @team #1 <img src=x onerror=alert(1)>",
    "jinja": "{{ 7 * 7 }}{% raw %}",
    "lone surrogate": "file\udcff.png",
    "tag end": "</style></title></textarea>--><svg onload=alert(1)>",
}


def finding(
    label: str = "shuffled / clean", estimate: float = 0.99, bound: float = 0.96, **more: Any
) -> dict[str, Any]:
    return {
        "label": label,
        "estimate": estimate,
        "interval": [estimate - 0.02, estimate + 0.01],
        "bound": bound,
        "direction": ">=",
        "p_true": 0.001,
        "p_false": 1.0,
        **more,
    }


def record(claim: str = "stays", model: str = "tiny", verdict: str = "supported", **more: Any) -> RunRecord:
    """Make a valid record; `context` and other fields may be replaced by plain data."""
    return RunRecord.model_validate(record_data(claim, model, verdict, **more))


def record_data(claim: str = "stays", model: str = "tiny", verdict: str = "supported", **more: Any) -> dict[str, Any]:
    """Make a valid record as plain data, as files hold it."""
    asked = verdict != "not applicable"
    effect = finding() if asked else None
    made = {
        "format": 1,
        "claim": claim,
        "version": 1,
        "model": model,
        "source": "paper",
        "tier": "core",
        "verdict": verdict,
        "reason": "it is so" if asked else "the model has no class token",
        "p": 0.002,
        "published": 0.97 if asked else None,
        "effect": effect,
        "findings": {"effect": [effect], "control": [finding("rival / clean", 0.1)], "gate": []} if asked else None,
        "delta": 0.01,
        "images": 64 if asked else 0,
        "budget": 512,
        "seconds": 1.5,
        "block_evaluations": 1234.0,
        "measured_images": 64,
        "curves": {"retention": [[0, 1.0, 0.9, 1.0], [1, 0.8, 0.7, 0.9], [2, 0.1, 0.0, 0.2]]} if asked else {},
        "judged": {"retention": [[0, "effect", ">=", 0.96], [1, "effect", ">=", 0.96]]} if asked else {},
        "trace": [[32, 0.4], [64, 0.002]] if asked else [],
        "arms": {},
        "context": context(),
    }
    return {**made, **more}


def accept(records: Sequence[RunRecord], path: Path) -> list[str]:
    """Accept records into a file of expected verdicts, as `claims accept` does; return the differences in words."""
    made = merge_verdicts(accepted(path), records)
    write_whole(path, baseline_bytes(made.models), "the verdicts")
    return [*made.differences]


def behind(record: RunRecord, store: Store) -> dict[str, Any]:
    """Give the numbers and keys of a record's arms from the store that they were measured into, for `rejudge`."""
    return {
        "numbers": {name: store.numbers(known, record.images_of(name)) for name, known in record.arms.items()},
        "keys": {name: store.key(identifier) for name, identifier in record.arms.items()},
    }


def context(**more: Any) -> dict[str, Any]:
    made = {
        "resolved": "tiny_model.tag",
        "family": "vit",
        "depth": 3,
        "width": 8,
        "native": "class",
        "pretrained": True,
        "weights": "ab" * 32,
        "images": "pictures",
        "image_fingerprint": "cd" * 32,
        "image_count": 128,
        "usable_images": 128,
        "left_out": [],
        "train_images": None,
        "seed": 0,
        "dtype": "float32",
        "device": "cpu",
        "batch_size": 32,
        "delta": None,
        "max_images": None,
        "target": "distribution",
        "versions": {"python": "3.11", "torch": "2.6"},
        "machine": "Linux",
        "card": {
            "arch": "tiny",
            "grid": [4, 4],
            "prefix": ["class"],
            "classes": 4,
            "parameters": 1000,
            "capabilities": ["class_token", "head"],
            "lacks": {"writes": "its blocks are parallel"},
        },
    }
    return {**made, **more}


def spec(claim: str = "stays", source: str = "paper", **more: Any) -> ClaimSpec:
    return ClaimSpec.model_validate(
        {
            "id": claim,
            "code": "X1",
            "statement": "Something stays so.",
            "place": "figure 3",
            "protocol": "It is measured.",
            "tier": "core",
            "published": {
                "value": 0.97,
                "text": "The paper says .97.",
                "curves": {
                    "retention": [
                        {"model": "big", "layers": [0, 1, 2, 3], "values": [1, 0.98, 0.97, 0.2], "origin": "read off"}
                    ]
                },
            },
            "bounds": {"bound": {"value": 0.96, "direction": ">=", "origin": "a margin of .01", "published": 0.97}},
            "control": "A rival.",
            "needs": [],
            "budget": 512,
            "delta": 0.01,
            "version": 1,
            "source": {"key": source, "title": "A paper", "authors": "A. Author", "year": 2024, "arxiv": "2401.00001"},
            **more,
        }
    )
