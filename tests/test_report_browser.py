"""A browser shows the report without an error, filters it, and loads nothing from anywhere."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.report.html import html_report
from support.records import HOSTILE, context, finding, record, spec

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZES = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
# Where text has less than 4.5 times the contrast of what is behind it (WCAG 1.4.3).
CONTRAST = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  };
  const wrong = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const own = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("svg, option, script, noscript")) continue;
    const [one, other] = [light(parts(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (one + .05) / (other + .05);
    if (ratio < 4.5) wrong.add(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return Array.from(wrong);
}"""
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
    printed = [
        {"model": f"big {at}", "layers": [0, 1, 2], "values": [1, 0.9, 0.1 * at], "origin": "o"} for at in range(5)
    ]
    published = {"value": 0.97, "text": "The paper says .97.", "curves": {"retention": printed}}
    claims = {
        name: spec(name, source=f"paper {at % 2}", published=published)
        for at, name in enumerate(f"claim-{number}" for number in range(6))
    }
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
    page.evaluate("document.querySelector('.scroll').style.maxHeight = '300px'")
    page.evaluate("document.querySelector('.scroll').scrollTo(300, 100)")
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
    assert [row.split("\n")[0].split("\t")[0].split()[0] for row in shown(page, rows)] == ["claim-2"]
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
    place = page.evaluate("decodeURIComponent(location.hash.slice(1))")
    assert place.startswith("claim-claim-")
    assert page.locator(f"#{place}.target").is_visible()
    assert "refuted" in page.locator(f"#{place}").inner_text()


def test_a_cell_says_quantity_value_bound_and_paper_by_keyboard_alone(open_page):
    page = open_page()
    page.locator(".matrix td[data-verdict=supported] a").first.focus()
    told = page.locator("#cell").inner_text()
    for part in ("✓ supported", "shuffled / clean: 0.990 [0.970, 1.000]", "bound ≥ 0.960", "paper 0.970", "64 of 512"):
        assert part in told.replace("\n", " "), told
    assert "pytest claims/ --claims-claim claim-" in told
    before = page.evaluate("document.activeElement.getAttribute('href')")
    for key, back in (("ArrowRight", "ArrowLeft"), ("ArrowDown", "ArrowUp")):
        page.keyboard.press(key)
        moved = page.evaluate("document.activeElement.getAttribute('href')")
        if moved != before:  # at an edge there is nowhere to go
            page.keyboard.press(back)
            assert page.evaluate("document.activeElement.getAttribute('href')") == before
    assert page.evaluate("document.querySelectorAll('.matrix td a[tabindex=\"0\"]').length") == 1
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelectorAll('article.claimed details[open]').length") == 1


def test_a_tap_tells_and_a_second_one_leads_on(open_page):
    page = open_page("phone", has_touch=True, is_mobile=True)
    cell = page.locator(".matrix td[data-verdict=refuted] a").first
    cell.tap()
    assert "refuted" in page.locator("#cell").inner_text()
    assert page.evaluate("location.hash") == ""
    cell.tap()
    assert page.evaluate("location.hash").startswith("#claim-claim-")


def test_filter_order_and_what_is_open_stay_in_the_address(open_page):
    page = open_page()
    page.select_option("[name=verdict]", "refuted")
    page.select_option("[name=order]", "ledger")
    page.locator("article.claimed summary").first.click()
    page.wait_for_function("location.search.includes('open=')")
    opened = page.evaluate("document.querySelector('article.claimed details[open]').parentElement.id")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert page.locator("[name=verdict]").input_value() == "refuted"
    assert page.locator("[name=order]").input_value() == "ledger"
    assert page.locator(f"#{opened} .results").is_visible()


def test_curves_are_drawn_when_a_claim_is_opened_with_at_most_three_published_ones(open_page):
    page = open_page()
    article = page.locator("article.claimed").first
    assert article.locator("svg.curves").count() == 0
    article.locator("summary").first.click()
    figure = article.locator("figure").first
    assert figure.locator("svg.curves .ours").count() == figure.locator("select option").count() - 1 >= 2
    assert figure.locator("svg.curves .published").count() == 3
    assert len(shown(page, "figure .legend li:has(.swatch)")) == 3
    figure.locator("input[type=checkbox]").check()
    assert figure.locator("svg.curves .published").count() == 5
    figure.locator("select").select_option(index=1)
    assert figure.locator(".band").count() == 1
    assert figure.locator(".bound").count() == 2


def test_a_page_about_one_claim_or_model_shows_it_at_once(browser, tmp_path):
    for name, found in (("claim", [record(), record(model="other")]), ("model", [record(), record("b")])):
        path = tmp_path / f"{name}.html"
        now = datetime(2026, 1, 2, tzinfo=UTC)
        path.write_text(html_report(found, {"stays": spec()}, title="t", now=now), encoding="utf-8")
        page = browser.new_page()
        page.goto(path.as_uri())
        assert page.locator(f"details[data-{name}] .results").is_visible()
        assert page.locator("details[open]").count() == 1
        page.close()


def test_two_models_stand_side_by_side_with_what_flips_first(open_page):
    page = open_page()
    page.select_option("[name=first]", label="model_0")
    page.select_option("[name=second]", label="model_1")
    told = page.locator("#paired").inner_text()
    assert told.startswith(
        "Verdicts that flip: 2; alike: 0; not decided on both: 0; asked of one alone: 4; of neither: 0."
    )
    first = page.locator("#paired tbody tr").first.inner_text()
    assert "flips" in first
    assert "✓ supported" in first
    assert "✗ refuted" in first
    page.goto("about:blank")
    page.go_back()
    assert page.locator("#paired").inner_text() == told, "what was chosen stays in the address"


def test_the_results_can_be_taken_along(open_page, tmp_path):
    page = open_page()
    for place, read in (("as-csv", lambda text: list(csv.DictReader(io.StringIO(text)))), ("as-json", json.loads)):
        with page.expect_download() as download:
            page.click(f"#{place}")
        download.value.save_as(tmp_path / place)
        rows = read((tmp_path / place).read_text(encoding="utf-8"))
        assert len(rows) == 6 * 10 + len(HOSTILE)
        assert {row["verdict"] for row in rows} == set(VERDICTS)
        assert not [row for row in rows if place == "as-csv" and row["claim"].lstrip().startswith(("=", "+", "@"))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(open_page, scheme):
    page = open_page(color_scheme=scheme)
    page.locator("article.claimed summary").first.click()
    page.locator("article.model summary").first.click()
    assert page.evaluate(CONTRAST) == []


def test_a_hundred_models_and_claims_are_painted_within_two_seconds(browser, tmp_path):
    specs = {f"claim-{at}": spec(f"claim-{at}", source=f"paper {at % 6}") for at in range(100)}
    one = {verdict: record(verdict=verdict) for verdict in VERDICTS}
    found = [
        one[VERDICTS[(model * claim + model % 7) % 3]].but(claim=name, model=f"model_{model}")
        for model in range(100)
        for claim, name in enumerate(specs)
    ]
    path = tmp_path / "many.html"
    path.write_text(html_report(found, specs, title="many", now=datetime(2026, 1, 2, tzinfo=UTC)), encoding="utf-8")
    page = browser.new_page(viewport=SIZES["desktop"])
    page.goto(path.as_uri())
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < 2000
    assert page.locator("#shown").inner_text() == "100 of 100 claims, 100 of 100 models"
    page.select_option("[name=verdict]", "refuted")
    page.close()


def test_without_scripts_everything_is_there_but_the_filter(open_page):
    page = open_page(java_script_enabled=False)
    assert not page.locator("#filter").is_visible()
    assert len(shown(page, ".matrix tr.claim")) == 6 + len(HOSTILE)


def test_a_verdict_is_read_without_colour(open_page):
    page = open_page()
    assert {"✓", "✗", "–"} <= set(shown(page, ".matrix td a"))
    names = page.evaluate("Array.from(document.querySelectorAll('.matrix td a')).map((a) => a.ariaLabel)")
    assert {"supported", "refuted", "not applicable"} <= set(names)


def test_the_printed_page_shows_the_whole_matrix_and_no_filter(open_page):
    page = open_page()
    page.emulate_media(media="print")
    assert not page.locator("#filter").is_visible()
    assert page.evaluate("(box => box.scrollHeight <= box.clientHeight + 1)(document.querySelector('.scroll'))")
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_printed_tables_leave_room_for_the_control(open_page):
    page = open_page()
    page.locator("article.claimed summary").first.click()
    page.set_viewport_size({"width": 703, "height": 1000})  # a sheet of A4 within its margins
    page.emulate_media(media="print")
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
