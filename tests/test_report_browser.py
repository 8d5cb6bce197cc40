"""A browser shows the report without an error, filters it, and loads nothing from anywhere."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.report.html import html_report
from support.records import HOSTILE, context, finding, record, spec

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
VERDICTS = ("supported", "refuted", "not applicable")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Start the browser of the machine, or the one that playwright has installed."""
    with playwright.sync_playwright() as running:
        own = Path(running.chromium.executable_path)
        found = str(own) if own.exists() else next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            pytest.skip("no browser is installed: `playwright install chromium`, or chromium of the system")
        started = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """Write a report of 10 models of two families, 6 claims of two sources, and a claim of every hostile name."""
    claims = {f"claim-{number}": spec(f"claim-{number}", source=f"paper {number % 2}") for number in range(6)}
    records = [
        record(claim, f"model_{at}", VERDICTS[(at + place) % 3], context=context(family=("vit", "swin")[at % 2]))
        for at in range(10)
        for place, claim in enumerate(claims)
    ]
    records += [
        record(name, name, source="odd", reason=name, effect=finding(name), context=context(family=name, resolved=name))
        for name in HOSTILE.values()
    ]
    path = tmp_path_factory.mktemp("report") / "out.html"
    page = html_report(records, claims, title="<b>Report</b>", now=datetime(2026, 1, 2, tzinfo=UTC))
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser, report):
    """Open the report; whatever the browser complains about, asks of a user or of the network fails the test."""
    pages, complaints = [], []

    def call(size: str = "desktop", **options):
        page = browser.new_page(viewport=SIZES[size], **options)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on(
            "request", lambda asked: None if asked.url.startswith(("file:", "data:")) else complaints.append(asked.url)
        )
        page.goto(report.as_uri())
        pages.append(page)
        return page

    yield call
    for page in pages:
        page.close()
    assert complaints == []


def shown(page, selector: str) -> list[str]:
    return [each.inner_text() for each in page.locator(selector).all() if each.is_visible()]


@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_its_width_and_only_the_matrix_scrolls(open_page, size):
    page = open_page(size)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("h1").inner_text() == "<b>Report</b>"
    assert page.evaluate("Array.from(document.images).every((image) => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize("size", SIZES)
def test_heads_stay_in_sight_while_the_matrix_scrolls(open_page, size):
    page = open_page(size)
    page.locator(".scroll").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('.scroll').scrollTo(300, 300)")
    box = page.locator(".scroll").bounding_box()
    corner = page.locator(".corner").bounding_box()
    assert abs(corner["x"] - box["x"]) <= 2
    assert abs(corner["y"] - box["y"]) <= 2


@pytest.mark.parametrize("size", SIZES)
def test_rows_end_on_whole_pixels_so_that_no_head_covers_the_line_above_it(open_page, size):
    page = open_page(size)
    heights = page.evaluate(
        "Array.from(document.querySelectorAll('.matrix tbody tr')).map((row) => row.getBoundingClientRect().height)"
    )
    assert [height for height in heights if height % 1] == []


def test_the_filter_narrows_by_source_family_verdict_and_words(open_page):
    page = open_page()
    rows, heads = ".matrix tr.claim", ".matrix thead th[data-column]"
    everything = len(shown(page, rows))
    assert everything == 6 + len(HOSTILE)
    page.select_option("[name=source]", index=1)
    assert len(shown(page, rows)) == len(shown(page, "article.claimed")) == 3
    page.select_option("[name=family]", "swin")
    assert len(shown(page, heads)) == len(shown(page, "article.model")) == 5
    page.select_option("[name=verdict]", "refuted")
    assert page.locator("#shown").inner_text().startswith("3 of ")
    page.fill("[name=text]", "claim-2")
    assert [row.split("\n")[0].split("\t")[0] for row in shown(page, rows)] == ["claim-2"]
    page.fill("[name=text]", "nothing like it")
    assert shown(page, rows) == shown(page, ".matrix tbody") == []
    page.click("button[type=reset]")
    page.wait_for_function(f"document.querySelectorAll('.matrix tr.claim:not([hidden])').length === {everything}")
    assert len(shown(page, heads)) == 10 + len(HOSTILE)


def test_a_verdict_that_only_hidden_models_have_hides_the_claim(open_page):
    page = open_page()
    page.select_option("[name=source]", index=3)
    page.select_option("[name=verdict]", "supported")
    assert len(shown(page, ".matrix tr.claim")) == len(HOSTILE)
    page.select_option("[name=family]", "vit")
    assert shown(page, ".matrix tr.claim") == []


def test_every_hostile_family_can_be_filtered(open_page):
    page = open_page()
    for place in range(1, page.locator("[name=family] option").count()):
        page.select_option("[name=family]", index=place)
        assert len(shown(page, ".matrix thead th[data-column]")) >= 1


def test_a_cell_leads_to_its_result(open_page):
    page = open_page()
    page.locator(".matrix td[data-verdict=refuted] a").first.click()
    target = page.evaluate("document.querySelector(':target').id")
    assert target.startswith("claim-claim-")
    assert page.locator(f"#{target}").is_visible()


def test_without_scripts_everything_is_there_but_the_filter(open_page):
    page = open_page(java_script_enabled=False)
    assert not page.locator("#filter").is_visible()
    assert len(shown(page, ".matrix tr.claim")) == 6 + len(HOSTILE)


def test_a_verdict_is_read_without_colour(open_page):
    page = open_page()
    texts = set(shown(page, ".matrix td .verdict"))
    assert {"✓ supported", "✗ refuted", "– not applicable"} <= texts


def test_the_printed_page_shows_the_whole_matrix_and_no_filter(open_page):
    page = open_page()
    page.emulate_media(media="print")
    assert not page.locator("#filter").is_visible()
    assert page.evaluate("(box => box.scrollHeight <= box.clientHeight + 1)(document.querySelector('.scroll'))")
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_printed_tables_leave_room_for_the_control_and_set_a_statement_smaller_than_its_claim(open_page):
    page = open_page()
    page.set_viewport_size({"width": 703, "height": 1000})  # a sheet of A4 within its margins
    page.emulate_media(media="print")
    size = "element => parseFloat(getComputedStyle(element).fontSize)"
    head = page.locator(".matrix tr.claim > th").first
    assert head.locator("small").evaluate(size) < head.locator("a").evaluate(size)
    row = page.locator(".results").first.locator("tbody tr:not(.why)").first
    widths = {name: row.locator(f"[data-label={name}]").bounding_box()["width"] for name in ("control", "verdict")}
    assert widths["control"] > 1.5 * widths["verdict"]


def test_no_verdict_is_printed_over_the_next_cell(open_page):
    page = open_page()
    page.set_viewport_size({"width": 1047, "height": 700})  # A4 on its side
    page.emulate_media(media="print")
    over = (
        "Array.from(document.querySelectorAll('.matrix td')).filter((td) => td.scrollWidth > td.clientWidth + 1).length"
    )
    assert page.evaluate(over) == 0
