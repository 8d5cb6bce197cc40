"""A report shows every result of its runs, one column per model and condition, and nothing in it acts."""

import base64
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from harness.report.clustering import alike_order
from harness.report.columns import ModelColumn, columns_of
from harness.report.html import html_report, source_of_picture
from harness.report.panels import Line, curve_panels, evidence_panel, published_panels
from harness.report.reproduce import command
from harness.results.record import PictureRecord
from harness.running.option_table import OPTIONS
from support.records import HOSTILE, context, finding, record, spec

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
MODELS = [("tiny", "supported"), ("other", "refuted"), ("third", "not applicable")]


class Page(HTMLParser):
    """Collects tags, and the words of each element by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def data(self) -> dict:
        """Read the numbers behind the page."""
        return json.loads(max((text for text in self.words if text.startswith('{"fields"')), key=len))

    @property
    def results(self) -> list[dict]:
        """List the results of the page with their texts by field."""
        data = self.data
        return [
            {name: data["strings"][at] for name, at in zip(data["fields"], texts, strict=True)} | {"curves": curves}
            for _, _, texts, curves, _ in data["results"]
        ]

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(*records, specs=None, **more) -> Page:
    chosen = {"stays": spec()} if specs is None else specs
    return Page(html_report(records, chosen, title=more.pop("title", "Report"), now=NOW, **more))


def three() -> list[dict]:
    return [record(model=model, verdict=verdict) for model, verdict in MODELS]


def test_every_cell_of_the_matrix_says_its_verdict_in_words_and_leads_to_its_result():
    made = page(*three())
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "ids are unique"
    cells = [attributes for attributes in made.of("td") if "data-verdict" in attributes]
    assert sorted(cell["data-verdict"] for cell in cells) == sorted(verdict for _, verdict in MODELS)
    links = [attributes["href"] for attributes in made.of("a") if attributes["href"].startswith("#")]
    assert {link[1:] for link in links} <= {*ids, *(one["place"] for one in made.results)}
    assert {f"claim-stays--model-{model}" for model, _ in MODELS} <= {link[1:] for link in links}
    for _, verdict in MODELS:
        assert verdict in made.text


def test_a_claim_is_told_in_full():
    text = page(*three()).text
    for part in (
        *(
            "Something stays so.",
            "A. Author (2024): A paper ; figure 3",
            "It is measured.",
            "A rival.",
            "The paper says .97.",
        ),
        *(
            "≥ 0.96",
            "a margin of .01",
            "rival / clean = 0.100 [0.080, 0.110]",
            "64 of 512",
            "1.5 s, 1,234 block evaluations",
        ),
        *('"published":{"retention":[["big",[0,1,2,3]', "retention: big : read off"),
    ):
        assert " ".join(part.split()) in re.sub(r"\s+", " ", text), part


def test_a_model_is_told_in_full():
    text = page(*three()).text
    for part in (
        *("tiny_model.tag", "4 × 4", "1,000", "ab" * 32, "cd" * 32, "python 3.11, torch 2.6", "Linux"),
        *("class token", "writes : no; its blocks are parallel", "the model has no class token stays"),
    ):
        assert part in text, part


def test_a_claim_that_was_not_run_on_a_model_is_no_verdict():
    made = page(record(), record("other", "second"))
    verdicts = [cell["data-verdict"] for cell in made.of("td") if "data-verdict" in cell]
    assert verdicts == ["supported", "not run", "not run", "supported"]
    assert "The ledger entry of this claim is not at hand" in made.text


def test_a_changed_verdict_is_said_beside_the_verdict():
    changed, same = page(record(expected="refuted")), page(record(expected="supported"))
    assert [one["expected"] for one in changed.results] == ["refuted"]
    assert [one["expected"] for one in same.results] == [""]
    assert ["data-changed" in cell for cell in changed.of("td") if "data-verdict" in cell] == [True]


def test_results_of_another_version_of_the_entry_are_named():
    assert (
        "judged by version 1 of the ledger entry; shown is version 2"
        in page(record(), specs={"stays": spec(version=2)}).text
    )


def test_runs_on_other_data_stand_side_by_side_and_a_later_record_replaces_an_earlier_one():
    other = context(images="photos", image_fingerprint="ef" * 32)
    columns = columns_of([record(verdict="refuted"), record(context=other), record()])
    assert [column.label for column in columns] == ["tiny (on pictures)", "tiny (on photos)"]
    assert [column.records["stays"].verdict for column in columns] == ["supported", "supported"]


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({"seed": 1}, "tiny (seed 1)"),
        ({"weights": "ff" * 32}, "tiny (weights ffffffff)"),
        ({"train_images": ["train", "aa", 10]}, "tiny (probes from train)"),
        ({"image_fingerprint": "ee" * 32}, "tiny (image fingerprint eeeeeeee)"),
        ({"dtype": "bfloat16"}, "tiny (dtype bfloat16)"),
    ],
)
def test_two_conditions_of_a_model_are_told_apart_by_what_differs(change, label):
    assert columns_of([record(), record(context=context(**change))])[1].label == label


def test_a_column_without_records_is_refused():
    with pytest.raises(ValueError, match="holds no records"):
        ModelColumn(label="a", anchor="a", model="a", family="f", context={}, records={})


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_are_shown_and_never_act(name):
    records = [
        record(
            model=name,
            reason=name,
            effect=finding(label=name),
            curves={name: [[0, 1.0, 0.9, 1.0], [1, 0.5, 0.4, 0.6]]},
            context=context(resolved=name, images=name, family=name, machine=name, versions={name: name}),
        ),
        record(claim=name, source=name, model="b"),
    ]
    words = name.replace("\udcff", "")  # a ledger is UTF-8 and cannot hold it
    entry = spec(statement=words, place=words, note=words)
    entry = entry.model_copy(
        update={"source": entry.source.model_copy(update={"title": name, "url": "javascript:x()"})}
    )
    text = html_report(records, {"stays": entry}, title=name, now=NOW, notes=[name])
    text.encode("utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)
    made, calm = Page(text), Page(html_report([record()], {"stays": spec()}, title="t", now=NOW))
    assert {tag for tag, _ in made.tags} <= {tag for tag, _ in calm.tags} | {"p"}
    assert len(made.of("script")) == 2
    assert not any(key.startswith("on") or key == "style" for _, attributes in made.tags for key in attributes)
    assert all(a["href"].startswith(("#", "https://arxiv.org/")) for a in made.of("a"))
    assert not made.of("img")


def test_the_page_stands_alone_and_lets_only_its_own_script_run():
    text = html_report(three(), {"stays": spec()}, title="t", now=NOW)
    made = Page(text)
    assert not made.of("link")
    assert all("src" not in attributes for attributes in made.of("script"))
    assert "url(" not in text.replace("url(%23", "")
    policy = next(meta["content"] for meta in made.of("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_same_records_give_the_same_page():
    pages = [html_report(three(), {"stays": spec()}, title="t", now=NOW) for _ in range(2)]
    assert pages[0] == pages[1]


def test_a_record_may_carry_pictures():
    shots = [{"title": "masked", "caption": "the class token", "media": "image/png", "data": PIXEL}]
    made = page(record(pictures=shots))
    assert made.data["results"][0][4] == [["masked", "the class token", f"data:image/png;base64,{PIXEL}"]]


def test_a_picture_that_could_hold_a_script_is_refused():
    with pytest.raises(ValueError, match=r"image/svg\+xml"):
        source_of_picture(PictureRecord.model_construct(title="t", media="image/svg+xml", data=""))


def test_a_rivals_curve_stands_in_the_panel_of_the_curve_it_is_named_after():
    rows = [[0, 0.5, 0.4, 0.6], [1, 0.6, 0.5, 0.7]]
    curves = {"accuracy": rows, "untrained accuracy": rows, "gap": rows}
    panels = curve_panels(record(curves=curves), None)
    found = {panel.name: [line.label for line in panel.lines] for panel in panels}
    assert found == {"accuracy": ["accuracy", "untrained accuracy"], "gap": ["gap"]}


def test_the_published_curve_stands_beside_ours_and_bounds_stand_where_they_were_judged():
    (panel,) = curve_panels(record(), spec())
    assert [(line.label, line.role) for line in panel.lines] == [("retention", "ours"), ("big", "published")]
    assert [(mark.layer, mark.bound) for mark in panel.marks] == [(0, 0.96), (1, 0.96)]


def test_published_curves_that_no_model_measured_are_drawn_alone():
    assert [panel.name for panel in published_panels(spec(), frozenset())] == ["retention"]
    assert published_panels(spec(), frozenset({"retention"})) == ()
    made = page(record(verdict="not applicable"))
    assert list(made.data["claims"][0]["published"]) == ["retention"]


def test_a_curve_of_one_point_is_told_instead_of_drawn():
    made = page(record(curves={"noise": [[2, 0.25, 0.2, 0.3]]}), specs={})
    assert "noise at block 2 = 0.250 [0.200, 0.300]" in made.text


def test_evidence_is_drawn_where_a_verdict_was_sought():
    panel = evidence_panel(record())
    assert (panel.images, panel.levels, panel.delta) == ((32, 64), (0.4, 0.002), 0.01)
    assert evidence_panel(record(verdict="reported")) is None
    assert evidence_panel(record(verdict="not applicable")) is None


def test_a_curve_whose_parts_differ_in_length_is_refused():
    with pytest.raises(ValueError, match="2 layers but 1 values"):
        Line(label="a", role="ours", style=0, layers=(0, 1), values=(1.0,))


def test_a_comparison_of_models_has_a_place_of_its_own_and_no_column():
    both = context(card=None, cards={"vit": {"name": "a"}, "cnn": {"name": "b"}})
    made = page(record(), record("versus", "tiny vs other", context=both), specs={"stays": spec()})
    assert [head.get("title") for head in made.of("a") if "title" in head and head["href"].startswith("#model")] == [
        "tiny"
    ]
    assert "asked of 1 model and of 1 set of models compared with one another" in made.text
    assert "tiny vs other" in made.text.split('{"fields"')[0]


def test_findings_that_came_out_alike_stand_beside_one_another():
    verdicts = [["supported"] * 4, ["refuted"] * 4, ["supported"] * 4, ["refuted"] * 4]
    order = alike_order(verdicts)
    assert sorted(order) == [0, 1, 2, 3]
    assert [verdicts[at][0] for at in order] in (
        ["supported", "supported", "refuted", "refuted"],
        ["refuted", "refuted", "supported", "supported"],
    )
    assert alike_order([["supported"], ["refuted"]]) == [0, 1]
    assert sorted(alike_order([["not applicable"]] * 3)) == [0, 1, 2]


def test_a_result_tells_the_command_that_measures_it_again():
    given = context(seed=3, delta=0.05, max_images=64, images="photos", train_images=["more", "aa", 10])
    assert command(record(model="a vs b", context=given)) == (
        "pytest claims/ --claims-claim stays --claims-model a --claims-model b --claims-data photos "
        "--claims-train-data more --claims-batch-size 32 --claims-seed 3 --claims-delta 0.05 --claims-max-images 64"
    )
    embedded = context(images="embedded/test", batch_size=64, train_images=["embedded/train", "aa", 10])
    assert command(record(context=embedded)) == "pytest claims/ --claims-claim stays --claims-model tiny"
    assert set(re.findall(r"--claims-[a-z-]+", command(record(context=given)))) <= {one.flag for one in OPTIONS}


def test_an_unpublished_source_says_so_instead_of_a_link():
    entry = spec()
    note = entry.source.model_copy(update={"arxiv": None, "note": "a lab note"})
    made = page(record(), specs={"stays": entry.model_copy(update={"source": note})})
    assert "figure 3 ( a lab note )." in made.text
    assert not [link for link in made.of("a") if not link["href"].startswith("#")]


def test_a_partial_run_says_so_above_everything():
    made = html_report([record()], {}, title="t", now=NOW, notes=["PARTIAL: the run ended before 2 of its 3 claims"])
    assert made.index('role="alert"') < made.index('id="matrix"')
    assert 'role="alert"' not in html_report([record()], {}, title="t", now=NOW, notes=["a note"])
