"""Two models side by side: flips, differences on the same pictures, curves over relative depth, also from files."""

from datetime import UTC, datetime

import numpy as np
import pytest

from harness.cli.__main__ import main
from harness.judging.paired_models import LEVEL, paired_difference
from harness.readouts.ranges import ranges
from harness.regression.models_apart import arms_apart
from harness.report.model_pairs import DEPTHS, Side, alike, asked_of_none, asked_of_some, flips, over_depth, overlays
from harness.results.history import History
from harness.results.measurements import MeasurementKey
from harness.results.run_file import document_text
from support.records import context, finding, record, spec

KEY = {
    **dict.fromkeys(("weights", "subject_code", "preprocessing", "images", "dtype", "device"), "x"),
    **dict.fromkeys(("intervention", "intervention_code", "readout_code"), "x"),
    "batch_size": 32,
    "seed": 0,
    "readout": "Accuracy(head='native', layer=None, labels='own')",
}
SIDES = [
    Side(label="a", records={"one": record("one"), "two": record("two"), "three": record("three")}),
    Side(
        label="b",
        records={
            "one": record("one", "b", "refuted", effect=finding(estimate=0.1)),
            "two": record("two", "b"),
            "three": record("three", "b", "not applicable", reason="it has none"),
            "four": record("four", "b", "not applicable", reason="it has none"),
        },
    ),
]


def test_a_difference_of_every_picture_is_the_difference_of_means_and_its_interval_holds_it():
    rng = np.random.default_rng(0)
    second = (rng.random(400) < 0.3).astype(float)
    first = np.where(rng.random(400) < 0.4, 1.0, second)
    found = paired_difference(first, second[:300], low=0.0, high=1.0)
    assert found.images == 300
    assert found.difference == pytest.approx(first[:300].mean() - second[:300].mean())
    assert found.interval[0] < found.difference < found.interval[1]
    assert found.evident
    assert not paired_difference(first, first, low=0.0, high=1.0).evident
    shorter = paired_difference(first[:100], second[:100], low=0.0, high=1.0)
    assert shorter.interval[1] - shorter.interval[0] > found.interval[1] - found.interval[0]


def test_of_exchanged_pictures_the_pair_is_the_unit():
    opposite = np.tile([1.0, 0.0], 100)
    swapped = 1.0 - opposite
    assert paired_difference(opposite, swapped, low=0.0, high=1.0, exchanged=True).difference == 0.0
    wide = paired_difference(opposite, swapped, low=0.0, high=1.0).interval
    narrow = paired_difference(opposite, swapped, low=0.0, high=1.0, exchanged=True).interval
    assert narrow[1] - narrow[0] < wide[1] - wide[0], "within a pair the differences cancel"
    with pytest.raises(ValueError, match="without a picture in common"):
        paired_difference(opposite, np.array([]), low=0.0, high=1.0)


def test_the_interval_misses_no_true_difference_more_often_than_declared():
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(60):
        first, second = (rng.random(150) < 0.6).astype(float), (rng.random(150) < 0.4).astype(float)
        low, high = paired_difference(first, second, low=0.0, high=1.0, level=0.1).interval
        missed += not low <= 0.2 <= high
    assert missed <= 6


def test_flips_are_decided_verdicts_that_differ():
    (flip,) = flips(SIDES, {"one": spec("one", quantity="what is kept")})
    assert (flip.claim, flip.quantity, flip.bound) == ("one", "what is kept", ">= 0.96")
    assert [verdict for _, verdict, _ in flip.found] == ["supported", "refuted"]
    assert alike(SIDES) == 1
    assert asked_of_some(SIDES) == (("b", "it has none", ("three",)),)
    assert asked_of_none(SIDES) == ("four",)


def test_a_claim_that_was_run_on_one_model_alone_is_not_alike():
    assert alike([SIDES[0], Side(label="b", records={"two": record("two", "b")})]) == 1


def test_a_straight_line_is_the_same_over_relative_depth_however_many_blocks_it_has():
    assert over_depth([0, 1, 2], [0.0, 0.5, 1.0]) == pytest.approx(tuple(DEPTHS))
    assert over_depth([11, 0], [1.0, 0.0]) == pytest.approx(tuple(DEPTHS))
    assert over_depth([4, 5, 6], [0.0, 0.5, 1.0]) == pytest.approx(tuple(DEPTHS)), "of its own first to last block"


def test_curves_lie_over_one_another_with_the_published_one():
    deep = record("one", "b", curves={"retention": [[at, 1.0 - at / 23, 0, 1] for at in range(24)]})
    sides = [SIDES[0], Side(label="b", records={"one": deep})]
    (one,) = overlays(sides, {"one": spec("one")})
    assert [label for label, _ in one.lines] == ["a", "b", "published: big"]
    assert one.lines[1][1] == pytest.approx(tuple(1.0 - DEPTHS))
    assert one.lines[2][1][-1] == 0.2


def test_ranges_are_known_of_readouts_of_shares():
    assert ranges()["Accuracy"] == (0.0, 1.0)


@pytest.fixture
def history(tmp_path):
    """Keep two models of which the first is better on every second picture, and what compares them."""
    made = History(tmp_path / ".claims")
    for model, numbers in (("a", np.ones(128)), ("b", np.tile([1.0, 0.0], 64))):
        key = MeasurementKey(**{**KEY, "weights": model})
        kept = record(
            "one", model, "supported" if model == "a" else "refuted", run=model, arms={"clean": key.id}, images=128
        )
        made.keep(kept, {"clean": numbers}, {key.id: key})
    made.keep(record("both", "a vs b", run="a"))
    made.close()
    return tmp_path


def test_arms_are_compared_at_one_error_for_all_by_pairs_where_pictures_exchange_something(tmp_path):
    rng, made = np.random.default_rng(2), History(tmp_path)
    numbers = {
        (model, arm): (rng.random(64) < share).astype(float)
        for model, share in zip("ab", (0.8, 0.4), strict=True)
        for arm in ("clean", "shuffled")
    }
    sides = []
    for model in "ab":
        keys = {arm: MeasurementKey(**{**KEY, "weights": f"{model} {arm}"}) for arm in ("clean", "shuffled")}
        for claim, arm, pairs in (("one", "clean", None), ("two", "shuffled", {"first": [0, 2], "in_all": 32})):
            kept = record(claim, model, run=model, arms={arm: keys[arm].id}, images=64, pairs=pairs)
            made.keep(kept, {arm: numbers[model, arm]}, {keys[arm].id: keys[arm]})
        sides.append(Side(label=model, records={one.claim: one for one in made.records(model=model)}))
    found = {one.arm: one.pair for one in arms_apart(made, sides)}
    for arm, exchanged in (("clean", False), ("shuffled", True)):
        both = (numbers["a", arm], numbers["b", arm])
        assert found[arm] == paired_difference(*both, low=0.0, high=1.0, exchanged=exchanged, level=LEVEL / 2)
    for change in ({"seed": 1}, {"image_fingerprint": "ef" * 32}, {"batch_size": 64}):
        elsewhere = {
            name: one.but(context=record(context=context(**change)).context) for name, one in sides[1].records.items()
        }
        assert arms_apart(made, [sides[0], Side(label="b", records=elsewhere)]) == []
    made.close()


def test_models_of_a_history_are_compared_picture_by_picture(history, capsys):
    arguments = ["--cache", str(history / ".claims"), "--claims", str(history / "none")]
    assert main(["compare", "a", "b", *arguments]) == 0
    text = capsys.readouterr().out
    assert "verdicts: 0 alike, 1 flip" in text
    assert "1 of 1 arms differ" in text
    assert "+0.500 [0." in text
    assert "a vs b: both is supported" in text
    assert main(["compare", "a", "c", *arguments]) == 2
    assert "unknown model 'c'" in capsys.readouterr().err
    assert main(["compare", "a", *arguments]) == 2
    assert "name two models or more" in capsys.readouterr().err


def test_two_people_compare_their_files_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = context(image_fingerprint="ef" * 32, depth=24)
    for name, one in (("x", record()), ("y", record(verdict="refuted", context=other))):
        text = document_text([one], {"stays": spec(quantity="what is kept")}, [], datetime(2026, 1, 2, tzinfo=UTC))
        (tmp_path / f"{name}.json").write_text(text)
    assert main(["compare", "x.json", "y.json"]) == 0
    text = capsys.readouterr().out
    assert "verdicts: 0 alike, 1 flip" in text
    assert "stays: what is kept" in text
    assert "tiny (1): supported" in text
    assert "no difference picture by picture" in text
    assert "measured under other conditions: image fingerprint" in text
    assert main(["compare", "x.json", "x.json:huge"]) == 2
    assert "unknown model 'huge'" in capsys.readouterr().err
