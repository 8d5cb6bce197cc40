"""The summary on a terminal fits, aligns, needs no colour, and shows hostile names without obeying them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from harness.report import terminal
from harness.report.curve_text import BARS, curve_charts, sparkline
from harness.report.result_table import LETTERS, junit_properties
from harness.report.verdict_text import paragraph
from harness.running.summary import next_step, told
from support.records import HOSTILE, context, finding, record, spec

LONG = "auxiliary-readout-shape-append-vs-average"
VERDICTS = ("supported", "refuted", "vacuous", "inconclusive", "reported", "not applicable")


def many(models: int = 9, claims: int = 25) -> list[dict]:
    names = [f"{LONG}-{number}" if number % 3 else f"short-{number}" for number in range(claims)]
    return [
        record(
            claim, f"model_{at}", VERDICTS[(at + place) % 6], reason="because " * 20, seconds=1234.5, published=-0.0123
        )
        for at in range(models)
        for place, claim in enumerate(names)
    ]


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
@pytest.mark.parametrize("width", [80, 100, 136, 200])
def test_a_summary_of_nine_models_and_dozens_of_claims_fits(width, verbosity):
    lines = told(many(), [], width=width, verbosity=verbosity, shared=True)
    assert max(map(cell_len, lines)) <= width


def test_columns_align_and_ids_are_whole():
    lines = terminal.summary(many(models=1), 100).splitlines()
    head = next(line for line in lines if line.startswith("claim"))
    rows = [line for line in lines if re.match(r"(short|auxiliary)\S*\s+\S [a-z]+ ", line)]
    assert len(rows) > 10
    ends = [head.index(column) + len(column) for column in ("bound", "paper", "images", "sec")]
    for row in rows:
        assert all(end == len(row) or row[end] == " " for end in ends), row
        assert row[head.index("verdict")] in LETTERS.values()
    first = next(number for number, line in enumerate(lines) if line.startswith("auxiliary"))
    joined = "".join(line.split("  ")[0] for line in lines[first : first + 3])
    assert joined.startswith(f"{LONG}-1"), "what does not fit goes on below"


def test_every_verdict_has_its_letter_and_the_open_ones_a_short_reason():
    text = terminal.summary([record(f"c-{v.replace(' ', '-')}", verdict=v, reason=f"why {v}") for v in VERDICTS], 100)
    for verdict in VERDICTS[:-1]:
        assert f"{LETTERS[verdict]} {verdict}" in text
        assert (f"why {verdict}" in text) == (verdict in terminal.EXPLAINED)
    assert "not applicable (1; -v names them): why not applicable (1)" in text
    named = terminal.summary([record(verdict="not applicable", reason="why")], 100, 1)
    assert "not applicable (1), why: stays" in named


def test_on_a_narrow_terminal_ids_are_whole_and_stand_above_their_numbers():
    lines = terminal.summary([record(LONG, reason="why", verdict="refuted"), record("b")], 80).splitlines()
    at = lines.index(LONG)
    assert re.match(r"  F refuted +0.99\d* \[.*\] +>= 0.96 +0.97 +64", lines[at + 1])
    assert lines[at + 2] == "    why"
    assert max(map(cell_len, lines)) <= 80


def test_what_is_reported_says_why_it_is_not_judged():
    assert "not judged: published for one model" in terminal.summary(
        [record(verdict="reported", reason="not judged: published for one model")], 80
    )


def test_many_claims_that_do_not_apply_are_one_paragraph_with_counts():
    refused = [record(f"c-{at}", verdict="not applicable", reason=f"why {at % 2}") for at in range(5)]
    lines = terminal.summary(refused, 80).splitlines()
    assert lines[-1] == "not applicable (5; -v names them): why 0 (3); why 1 (2)"


def test_notes_are_wrapped_and_the_last_line_says_what_to_do_next():
    records = [record(), record("b", verdict="inconclusive")]
    lines = told(records, ["a note " * 30], width=80, verbosity=0, shared=False) + next_step(records, 80)
    assert max(map(cell_len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert text.endswith(
        "next: `claims explain stays` tells one claim in full; `claims report` writes the page; more pictures (--data) "
        "decide what is inconclusive"
    )
    (late,) = next_step([record(verdict="inconclusive", out_of_time=True)], 200)
    assert late.startswith("next: the same command goes on")


def test_several_models_are_shown_at_a_glance():
    records = [record("a", "one"), record("b", "one", "refuted"), record("a", "two", "inconclusive")]
    text = terminal.summary(records, 100)
    assert "a  .  ?" in text.replace("a" + " " * 20, "a")
    assert re.search(r"^b\s+F$", text, re.MULTILINE)
    assert "1 one, 2 two" in text
    assert "glance" not in terminal.summary(records[:2], 100)


def test_a_quiet_run_has_one_line_per_model():
    records = [record("a", "one"), record("b", "one", "refuted"), record("a", "number two")]
    assert terminal.summary(records, 100, -1).splitlines() == [
        "one         1 supported, 1 refuted",
        "number two  1 supported",
    ]


def test_a_verbose_run_draws_curves():
    assert "█▇▁ retention 1.000 to 0.100" in terminal.summary([record()], 100, 1)
    assert "retention 1.000" not in terminal.summary([record()], 100, 0)
    assert curve_charts(record(curves={"one": [[0, 1.0, 1.0, 1.0]], "gone": [[0, None, None, None]] * 3})) == []


def test_bars_show_shares_on_one_scale_and_anything_else_on_its_own():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([0.5, 0.5]) == "▅▅"
    assert sparkline([-3.0, 0.0, 3.0]) == "▁▅█"
    with pytest.raises(ValueError, match="finite"):
        sparkline([float("nan")])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_chart_has_one_bar_per_value_and_higher_values_have_no_lower_bars(values):
    drawn = [BARS.index(bar) for bar in sparkline(values)]
    assert len(drawn) == len(values)
    for value, bar in zip(values, drawn, strict=True):
        assert all(other >= bar for larger, other in zip(values, drawn, strict=True) if larger >= value)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_no_name_acts_on_the_terminal(name, verbosity):
    odd = record(
        name,
        name,
        "refuted",
        reason=name,
        effect=finding(name),
        context=context(resolved=name, images=name),
        curves={name: [[0, 1, 1, 1], [1, 0, 0, 0]]},
    )
    refused = record("b", name, "not applicable", reason=name)
    lines = told([odd, refused, record("c", "d")], [name], width=100, verbosity=verbosity, shared=False)
    for line in [*lines, *paragraph(odd, spec()).split("\n")]:
        assert not re.search("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\udc80-\udcff]", line)


def test_a_name_of_several_lines_cannot_fake_a_line_of_the_summary():
    faked = record("a", "x\n1 passed", "refuted", reason="so\nFAILED everything")
    lines = told([faked], ["note\n2 passed"], width=100, verbosity=0, shared=False)
    assert not [line for line in lines if line.startswith(("1 passed", "2 passed", "FAILED"))]


def test_test_reports_carry_verdict_effect_interval_bound_and_images():
    found = dict(junit_properties(record()))
    assert found["claims.verdict"] == "supported"
    assert found["claims.effect"] == 0.99
    assert found["claims.interval"] == [0.97, 1.0]
    assert found["claims.bound"] == ">= 0.960"
    assert found["claims.images"] == 64
    assert dict(junit_properties(record(verdict="not applicable")))["claims.bound"] is None


def test_an_empty_claim_name_is_no_crash():
    assert terminal.summary([record().but(claim="")], 100)
