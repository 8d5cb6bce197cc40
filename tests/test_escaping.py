"""Names from a user's files are shown and never act, whatever they are made of."""

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.escaping import (
    FORMULA,
    HARMFUL,
    JOINERS,
    anchor,
    markdown_code,
    markdown_text,
    plain,
    prose,
    short,
    spreadsheet,
    web_address,
)
from support.records import HOSTILE

texts = st.text(st.characters(), max_size=40)
hostile = pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())


@given(texts)
def test_no_character_that_acts_is_left(text):
    shown = plain(text)
    assert not [c for c in shown if unicodedata.category(c) in HARMFUL and c not in JOINERS]
    shown.encode("utf-8")


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))))
def test_letters_of_every_script_stay_as_they_are(text):
    assert plain(text) == text
    assert plain("می\u200cخواهم") == "می\u200cخواهم", "a joiner is part of the word"


@hostile
def test_terminal_codes_and_line_ends_become_visible(name):
    assert "\x1b" not in plain(name)
    assert "\n" not in plain(name)
    assert plain("\x1b[31m") == "\\x1b[31m"
    assert plain("a\nb") == "a\\nb"
    assert plain("\u202e") == "\\u202e"
    assert plain("\U000e0041") == "\\U000e0041"


def test_running_text_has_single_spaces():
    assert prose(" a\n  b\tc\u2028d ") == "a b c d"


@given(texts, st.integers(5, 30))
def test_a_short_name_keeps_its_ends_within_its_limit(text, limit):
    shown = short(text, limit)
    assert len(shown) <= limit
    full = plain(text)
    assert shown == full if len(full) <= limit else shown[0] == full[0] and shown[-1] == full[-1] and "…" in shown


@given(texts)
def test_no_cell_of_a_spreadsheet_is_a_formula(text):
    (row,) = csv.reader(io.StringIO(_csv(spreadsheet(text)), newline=""))
    assert not row[0].lstrip().startswith(FORMULA)


def _csv(cell: str) -> str:
    target = io.StringIO()
    csv.writer(target).writerow([cell, "x"])
    return target.getvalue()


@hostile
def test_a_code_span_of_markdown_holds_the_name_and_ends_where_it_should(name):
    span = markdown_code(name)
    fence = span[: len(span) - len(span.lstrip("`"))]
    inner = span[len(fence) : -len(fence)]
    assert span.endswith(fence)
    assert fence not in inner
    assert "\n" not in span
    assert "|" not in span.replace("\\|", "")


@hostile
def test_markdown_text_holds_no_markup_mention_or_link(name):
    shown = markdown_text(name)
    assert "<" not in shown
    assert "@team" not in shown
    assert "://" not in shown
    for sign in "`*[]|":
        assert sign not in shown.replace(f"\\{sign}", "")


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://example.org/a?b=c", True),
        ("HTTP://example.org", True),
        ("javascript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https:", False),
        ("//example.org", False),
        ("http://[broken", False),
        ("", False),
        (None, False),
    ],
)
def test_only_addresses_of_the_web_become_links(address, kept):
    assert (web_address(address) is not None) == kept


@given(texts)
def test_an_anchor_is_made_of_letters_digits_and_hyphens(text):
    assert anchor(text).replace("-", "a").isalnum()
    assert anchor(text).isascii()
