"""Claims about families of fits: who asks them, when, of what, and what a reader sees."""

import pytest
from PIL import Image

from harness.cli.__main__ import main
from harness.errors import ClaimsError
from harness.judging.ledger import ClaimSpec
from harness.measurement.plan import propose
from harness.readouts.autoencoders import LADDER, SWEEP, AutoencoderNumber
from harness.readouts.members import Fits
from harness.results.run_file import read_document
from harness.running.options import parse
from harness.running.preflight import check_models
from harness.running.whom import NO_MODELS, groups_for
from harness.trainings.families import FAMILIES, FitFamily, family_card, family_entry
from support.cards import CLAIMS, ROOT, SPECS

FAMILY = "autoencoders"
ABOUT_FITS = sorted(name for name, spec in SPECS.items() if spec.family)


def asked(spec: ClaimSpec, **given):
    """Ask whom a claim is asked of in a run with these options."""
    options = parse(given, {})
    entries, _ = check_models(options)
    found, why = groups_for(spec, entries, options)
    return [group.label for group in found], why


def spec() -> ClaimSpec:
    return SPECS["cre-no-synergy"]


def test_a_family_is_asked_in_a_run_of_the_whole_zoo_or_where_it_or_its_claim_is_named():
    assert asked(spec()) == ([FAMILY], "")
    assert asked(spec(), model=["tiny_vit", FAMILY]) == ([FAMILY], "")
    assert asked(spec(), model=["tiny_vit"], claim=["cre-no-synergy"]) == ([FAMILY], "")
    labels, why = asked(spec(), model=["tiny_vit"])
    assert not labels
    assert f"name it with --model {FAMILY}, or by --claim" in why


def test_no_other_claim_is_asked_of_a_family():
    other = SPECS["cls-early-shuffle-harmless"]
    assert asked(other, model=["tiny_vit", FAMILY]) == (["tiny_vit"], "")
    assert asked(other, model=[FAMILY]) == ([], NO_MODELS)
    assert asked(SPECS["collapse-needs-class-readout"], model=[FAMILY]) == ([], NO_MODELS)


def test_a_family_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(ClaimsError, match=r"unknown family 'autoencoder' in the ledger.*Did you mean 'autoencoders'"):
        asked(spec().model_copy(update={"family": "autoencoder"}))


def test_every_family_of_the_ledger_exists_and_has_claims():
    assert {SPECS[name].family for name in ABOUT_FITS} == set(FAMILIES)


def test_a_misspelled_family_finds_the_nearest():
    with pytest.raises(ClaimsError, match=r"unknown model 'autoencodrs'.*Did you mean 'autoencoders'"):
        asked(spec(), model=["autoencodrs"])


def test_a_family_has_no_network_of_its_own():
    made = family_entry(FAMILY).load()
    assert isinstance(made, FitFamily)
    assert made.card == family_card(FAMILY)
    with pytest.raises(AttributeError, match="is no model and has no 'logits'"):
        made.logits  # noqa: B018


def test_digits_are_for_families_alone():
    assert asked(spec(), data="digits") == ([FAMILY], "")
    with pytest.raises(ClaimsError, match="10 classes of its own, not these ten"):
        asked(spec(), data="digits", model=["tiny_vit"])


def test_a_reading_says_what_it_trains():
    inner = AutoencoderNumber(number="error", trade_off=0.5)
    assert [(one.width, one.trade_offs) for one in inner.trainings(0)] == [
        (LADDER[0], (1.0,)),
        (LADDER[0], SWEEP[1:-1]),
    ]
    wide = AutoencoderNumber(number="lost reconstruction", trade_off=0.0, times=4)
    assert [(one.width, one.trade_offs) for one in wide.trainings(0)] == [
        (LADDER[0], (1.0,)),
        (4 * LADDER[0], (0.0,)),
        (4 * LADDER[0], (1.0,)),
    ]
    deep = AutoencoderNumber(number="accuracy", trade_off=0.99, width=16, hidden=(128,))
    assert [(one.width, one.hidden, one.trade_offs) for one in deep.trainings(0)] == [(16, (128,), (0.99,))]


def test_fits_are_judged_as_typical_ones_and_are_no_finite_population():
    plan = CLAIMS["cre-no-synergy"].function(family_card(FAMILY))
    assert isinstance(plan.census, Fits)
    assert plan.typical
    assert not plan.exchanges


def test_a_plan_tells_the_minutes_of_trainings(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "--model", FAMILY, "--data", "digits", "--claims", str(ROOT)]) == 0
    told = capsys.readouterr().out
    assert "autoencoders, trained on 1297 of digits/train" in told
    rows = {
        line.split()[-1]: line.split()
        for line in told.splitlines()
        if line.split()[-1:] and line.split()[-1] in ABOUT_FITS
    }
    assert set(rows) == set(ABOUT_FITS)
    assert all(float(row[0]) > 0 and int(row[-2]) <= SPECS[name].budget for name, row in rows.items())
    assert max(map(len, told.splitlines())) <= 80


PLAIN = ("-p", "harness.short_names", "--import-mode=importlib", "-p", "no:hypothesispytest", "-p", "no:jaxtyping")
LEDGER = """
source: {key: demo, title: A demonstration, authors: nobody, year: 2026, note: not published}
claims:
- id: reconstruction-is-learned
  code: D1
  tier: core
  statement: A few steps bring an autoencoder below the mean picture.
  quantity: error over that of the mean picture
  place: nowhere
  protocol: Forty steps.
  published: {value: null, text: none}
  bounds: {bound: {value: 0.97, direction: "<=", origin: made up}}
  control: An encoder left as drawn, after one step.
  needs: [labels, train]
  family: autoencoders
  budget: 12
  pictures: 100
  delta: 0.2
  version: 1
"""
CLAIM = """
from harness import Arm, AutoencoderNumber, Fits, Plan, claim, level


@claim("reconstruction-is-learned")
def test_a_few_steps_suffice(card):
    def arm(**of):
        return Arm(readout=AutoencoderNumber(number="error", trade_off=1.0, width=16, rate=1e-2, **of))

    arms = {"learned": arm(steps=40), "drawn": arm(steps=1, untrained="encoder")}
    return Plan(census=Fits(), arms=arms, effect=level("learned"), control=level("drawn"))
"""


def test_a_run_of_a_family_on_digits_judges_fits(pytester):
    folder = pytester.mkdir("mine")
    (folder / "ledger.yaml").write_text(LEDGER)
    (folder / "test_mine.py").write_text(CLAIM)
    result = pytester.runpytest_subprocess(
        *PLAIN, "mine", "--data", "digits", "--train-images", "400", "--claims-json", "run.json"
    )
    result.assert_outcomes(passed=1)
    (record,), _, _ = read_document(pytester.path / "run.json")
    assert (record.model, record.verdict, record.what) == (FAMILY, "supported", "fits")
    assert 2 <= record.images < 12
    assert record.pictures_behind == 100
    assert record.members is None
    kept = {file: file.read_bytes() for file in (pytester.path / ".claims" / "fits").glob("*.safetensors")}
    assert record.images < len(kept) <= 2 * record.images, "an arm that is settled is trained no further"
    other = ("--train-images", "400", "--claims-seed", "1")
    again = pytester.runpytest_subprocess(*PLAIN, "mine", "--data", "digits", *other)
    again.assert_outcomes(passed=1)
    assert len(list((pytester.path / ".claims" / "fits").glob("*.safetensors"))) > len(kept), "other seeds, other fits"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("--max-images", "64"), "*a fit takes 100 test pictures or more; there are 64*"),
        (("--train-images", "30"), "*a fit takes 100 training pictures or more; there are 30*"),
    ],
)
def test_a_family_with_few_pictures_is_not_asked(pytester, given, why):
    folder = pytester.mkdir("mine")
    (folder / "ledger.yaml").write_text(LEDGER)
    (folder / "test_mine.py").write_text(CLAIM)
    result = pytester.runpytest_subprocess(*PLAIN, "mine", "--data", "digits", *given, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([why])


def test_fits_without_a_number_of_test_pictures_are_refused():
    claim = CLAIMS["cre-no-synergy"]
    with pytest.raises(ClaimsError, match="`pictures` in the ledger must say how many"):
        propose(claim.function, claim.spec.model_copy(update={"pictures": 0}), family_card(FAMILY))


def test_a_family_without_pictures_to_train_on_is_not_asked(pytester, tmp_path):
    folder = pytester.mkdir("mine")
    (folder / "ledger.yaml").write_text(LEDGER)
    (folder / "test_mine.py").write_text(CLAIM)
    for name in ("a", "b"):
        (tmp_path / "val" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (9, 9), (number, 40 * len(name), ord(name))).save(
                tmp_path / "val" / name / f"{number}.png"
            )
    result = pytester.runpytest_subprocess(*PLAIN, "mine", "--model", FAMILY, "--data", str(tmp_path / "val"), "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no training images are given (--train-data)*"])
