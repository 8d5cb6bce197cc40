"""What is surprising stands first, in words: far beyond its bound, far from the paper, or changed."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.judging.ledger import Source, read_ledgers
from harness.report.html import html_report
from harness.report.markdown import markdown_report
from harness.report.quantity import quantity_words
from harness.report.surprises import surprise_of, surprises
from harness.results.history import History
from harness.running.summary import told
from support.records import HOSTILE, context, finding, record, spec

CLAIMS = Path(__file__).parents[1] / "claims"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
WORDS = "accuracy kept when class tokens are exchanged"


def found(low: float, high: float, **more):
    return finding(estimate=(low + high) / 2, interval=[low, high], **more)


def refuted(claim: str, low: float, high: float, published: float | None = 0.97, **more):
    return record(claim, verdict="refuted", effect=found(low, high), published=published, **more)


def test_every_claim_has_words_for_what_its_bounds_are_about():
    missing = []
    for name, one in read_ledgers(CLAIMS).items():
        words = one.quantity
        if isinstance(words, str):
            missing += [] if words else [f"{name}: quantity: NOUN PHRASE (of the number that is compared)"]
        else:
            missing += [f"{name}: quantity: {{{b}: NOUN PHRASE}}" for b in one.bounds if b != "gate" and b not in words]
    assert not missing, "write into ledger.yaml, below the statement:\n" + "\n".join(missing)


def test_distance_is_counted_from_the_nearer_end_of_the_interval_to_bound_and_paper():
    assert surprise_of(refuted("a", 0.1, 0.3)) == pytest.approx((0.96 - 0.3) + (0.97 - 0.3))
    assert surprise_of(refuted("a", 0.1, 0.3, published=None)) == pytest.approx(0.96 - 0.3)
    assert surprise_of(refuted("a", 0.1, 0.3), scale=10.0) == pytest.approx((0.66 + 0.67) / 10)
    above = found(0.5, 0.7, bound=0.2, direction="<=")
    assert surprise_of(record(verdict="refuted", effect=above, published=0.1)) == pytest.approx(0.3 + 0.4)


def test_what_agrees_with_the_paper_or_is_undecided_surprises_nobody():
    assert surprise_of(record()) == 0.0
    for verdict in ("inconclusive", "vacuous", "not applicable"):
        assert surprise_of(record(verdict=verdict)) == 0.0
    assert surprises([record()], {}) == ()


def test_a_supported_claim_far_from_the_paper_counts_half():
    assert surprise_of(record(effect=found(0.97, 1.0), published=0.5)) == pytest.approx(0.5 * 0.47)


@given(st.floats(0.0, 0.4), st.floats(0.0, 0.05), st.floats(0.0, 0.5))
def test_nearer_to_the_bound_is_never_more_surprising(low, width, step):
    nearer = refuted("a", low + step, low + step + width)
    assert surprise_of(nearer) <= surprise_of(refuted("a", low, low + width)) + 1e-12


def test_the_farthest_stands_first_and_each_claim_once_with_its_other_models():
    records = [refuted("near", 0.8, 0.9), refuted("far", 0.0, 0.1), refuted("far", 0.2, 0.3, model="other"), record()]
    first, second = surprises(records, {"far": spec("far", quantity=WORDS)})
    assert (first.claim, first.others, second.claim) == ("far", ("other",), "near")
    assert first.sentence == (
        f"tiny: {WORDS} is 0.050 [0, 0.1]; the paper has 0.97, the claim needs ≥ 0.96: refuted, on 64 pictures; "
        "refuted too on other."
    )


def test_units_are_the_range_of_the_quantity():
    wide = [
        record("wide", verdict="refuted", effect=found(100, 110, bound=500), published=None),
        record("wide", "other", verdict="refuted", effect=found(5, 6, bound=500), published=None),
    ]
    ranked = surprises([*wide, refuted("share", 0.0, 0.0)], {})
    assert [one.claim for one in ranked] == ["share", "wide"]


def test_what_changed_comes_before_every_distance():
    records = [refuted("far", 0.0, 0.1), refuted("was", 0.9, 0.95)]
    first, _ = surprises(records, {}, {("was", "tiny"): "supported", ("far", "tiny"): "refuted"})
    assert first.claim == "was"
    assert "(it was supported before)" in first.sentence
    assert surprises(records, {}, {("was", "tiny"): "inconclusive"})[0].claim == "far"
    accepted = refuted("was", 0.9, 0.95, expected="refuted")
    assert surprises([records[0], accepted], {}, {("was", "tiny"): "supported"})[0].claim == "far"


def test_words_are_those_of_the_bound_that_decided_also_where_chance_moves_it():
    two = {
        "first": {"value": 0.96, "direction": ">=", "origin": "o"},
        "third": {"value": 0.1, "direction": "<=", "origin": "o"},
        "second": {"value": 0.0, "chance_times": 2.0, "direction": "<=", "origin": "o"},
    }
    entry = spec(bounds=two, quantity={"first": "the first", "second": "the second", "third": "the third"})
    assert quantity_words(record(published=None), entry) == "the first"
    by_chance = found(0.6, 0.7, bound=0.5, direction="<=")  # two times chance of four classes
    assert quantity_words(record(effect=by_chance, published=None), entry) == "the second"
    odd = record(effect=finding("its label", bound=0.1), published=None)
    assert quantity_words(odd, spec(quantity={"bound": "x"})) == "its label"
    assert quantity_words(record(), None) == "shuffled / clean"


def test_words_for_a_bound_that_is_not_there_are_refused():
    with pytest.raises(ValidationError, match="quantity has words for 'bond'; its bounds are bound"):
        spec(quantity={"bond": "a share"})


def test_a_source_may_be_unpublished_if_it_says_so():
    about = {"key": "k", "title": "t", "authors": "a", "year": 2026}
    assert Source(**about, note="unpublished lab note").note
    with pytest.raises(ValidationError, match="not published"):
        Source(**about)


def test_page_markdown_and_terminal_begin_with_it():
    records, specs = [refuted("far", 0.0, 0.1)], {"far": spec("far", quantity=WORDS)}
    page = html_report(records, specs, title="t", now=NOW)
    assert page.index(WORDS) < page.index('<section id="matrix">')
    assert 'href="#claim-far--model-tiny"' in page
    text = markdown_report(records, specs, title="t", now=NOW)
    assert text.index(WORDS) < text.index("| claim |")
    lines = told(records, [], width=80, verbosity=0, shared=False, specs=specs)
    assert lines[0] == "most surprising"
    assert f"1. tiny: {WORDS} is 0.050" in lines[1] + " " + lines[2].strip()
    assert max(map(len, lines[:3])) <= 80
    assert told(records, [], width=80, verbosity=-1, shared=False, specs=specs)[0] != "most surprising"


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_name_acts_in_a_sentence(name):
    odd = record(name, name, "refuted", effect=found(0, 0.1, label=name), context=context(resolved=name))
    (one,) = surprises([odd], {})
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\udc80-\udcff]", one.sentence)


def test_a_history_tells_the_verdicts_before_a_run(tmp_path):
    history = History(tmp_path)
    for run, verdict in (("a", "supported"), ("b", "refuted"), ("c", "supported")):
        history.keep(record(run=run, verdict=verdict))
    history.keep(record("late", run="a", verdict="inconclusive", out_of_time=True))
    assert history.verdicts(before="b") == {("stays", "tiny"): "supported"}
    assert history.verdicts(before="c") == {("stays", "tiny"): "refuted"}
    assert history.verdicts(before="none yet") == {("stays", "tiny"): "supported"}
    history.close()
