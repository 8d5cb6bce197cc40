"""Mistakes in claims turn the protocols red: six that were green once, and a part of the whole campaign.

All of it: `cd tests && python -m support.campaign`.
"""

from itertools import islice

import pytest

from support.campaign import attack, claim_files, equivalents
from support.cards import ROOT, SPECS
from support.mutants import ClaimFile, mutants
from support.protocols import differs, written

EVERY = 20  # one mistake in so many is tried here, from another one on in every file
CLASS_TOKEN, RELEVANCE, KEYS = (
    "visual_exploration/test_class_token.py",
    "class_embedding/test_relevance.py",
    "class_embedding/test_keys.py",
)
AREAS = (
    "relevance-negative-perturbation",
    "relevance-denoising-bump",
    "relevance-positive-perturbation",
    "probe-ranking-is-less-causal-than-class-projection",
    "class-embedding-relevance-on-par-with-chefer",
)
# Claim, its file, what stands there, and the mistake: all stayed green on planted numbers, which are declared by name.
ONCE_GREEN = [
    ("cls-isolated-until-last-block", CLASS_TOKEN, "isolate_cls(range(k)))", "isolate_cls(range(k - 1)))"),
    ("cls-carries-information-before-last-block", CLASS_TOKEN, "cls_alone(k - 1)", "cls_alone(k)"),
    *[
        (claim, RELEVANCE, "keep_patches_by(score, keep,", "keep_patches_by(score, kept[max(1, k - 1)],")
        for claim in AREAS
    ],
    (
        "relevance-negative-perturbation",
        RELEVANCE,
        '"gain": _apart("least relevant", "random")',
        '"gain": _apart("random", "most relevant")',
    ),
    (
        "attention-keys-select-class-values-in-last-block",
        KEYS,
        "range(-(-card.depth // 4) - 1, 2 * card.depth // 3)",
        "range(-(-card.depth // 4), 2 * card.depth // 3 + 1)",
    ),
]


@pytest.mark.parametrize(("claim", "file", "right", "wrong"), ONCE_GREEN)
def test_a_mistake_that_was_green_once_is_red(claim, file, right, wrong):
    path = ROOT / file
    text = path.read_text(encoding="utf-8")
    assert right in text
    mistaken = ClaimFile.parse(text.replace(right, wrong), path)
    function = mistaken.functions(mistaken.codes)[claim]
    assert differs(function, SPECS[claim], written(path.parent.name)[claim])


@pytest.mark.parametrize("path", claim_files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_mistake_in_a_claim_survives_its_protocol(path):
    start = sum(path.name.encode()) % EVERY
    found = attack(islice(mutants(ClaimFile.read(path)), start, None, EVERY))
    assert found.tried, "nothing was tried"
    assert not found.survivors


def test_mistakes_are_of_every_kind_and_leave_words_alone():
    text = """
from harness import Arm, Holds, NotApplicable, Plan, claim, every, level, ratio, refuse_shallow, shuffle_cls


@claim("c")
def test_c(card):
    \"\"\"Words 1.\"\"\"
    refuse_shallow(card, 2)
    if card.depth > 9:
        raise NotApplicable("more than 9 blocks")
    arms = {f"at {b}": Arm(intervention=shuffle_cls(b)) for b in range(3)}
    return Plan(
        arms={**arms, "clean": Arm()},
        effect=every(Holds(ratio("at 0", "clean"), "bound", "words 0"), Holds(level("at 1"), "bound", "words 1")),
        control=ratio("at 2", "clean"),
    )
"""
    names = [mutant.name.partition(": ")[2] for mutant in mutants(ClaimFile.parse(text, ROOT / "demo/test_c.py"))]
    for part in (
        "`refuse_shallow(card, 2)` -> `pass`",
        "`refuse_shallow(card, 2)` -> `refuse_shallow(card, 3)`",
        "> `if card.depth >= 9",
        "shuffle_cls(b)) for b in range(3)}` -> `",
        "cls(b - 1)",
        "cls_alone(b)",
        "ratio('clean', 'at 0')",
        "difference('at 0'",
        "range(3 - 1)",
        "every(Holds(level('at 1')",
        "some(Holds(",
    ):
        assert any(part in name for name in names), part
    assert not [name for name in names if "words 2" in name or "more than 10" in name]
    assert len(names) == len(set(names))


def test_every_equivalent_has_a_reason():
    assert equivalents()
    assert all(one.reason for one in equivalents())
