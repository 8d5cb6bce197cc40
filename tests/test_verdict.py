"""Gate, effect and control make one verdict, wrong with probability at most delta."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from harness.judging import betting
from harness.judging.quantities import Level, Observations, PValues, Ratio, Sample
from harness.judging.statements import Finding, Holds, every
from harness.judging.verdict import Question, Verdict, decide, judge
from support.claims import bound

DELTA = 0.05
STATES = {"true": PValues(1e-9, 1.0), "false": PValues(1.0, 1e-9), "open": PValues(0.4, 0.4)}


class Fixed:
    """A statement whose weighing is given."""

    def __init__(self, p: PValues) -> None:
        self.p = p

    def arms(self):
        return ("arm",)

    def bound_names(self):
        return ("bound",)

    def p_values(self, sheet):
        return self.p

    def findings(self, sheet):
        return (Finding(label="fixed", estimate=0.7, bound=0.5, direction=">=", p=self.p),)


EMPTY = Observations(samples={}, bounds={})


def question(gate: PValues | None, effect: PValues, control: PValues | None, **extra) -> Question:
    gate_part, control_part = (None if p is None else Fixed(p) for p in (gate, control))
    return Question(effect=Fixed(effect), control=control_part, gate=gate_part, **extra)


def expected(gate: str | None, effect: str, control: str | None) -> str:
    """Say in words what the design says: the gate first, then the effect, then the control."""
    if gate == "false":
        return "vacuous"
    if gate == "open" or effect == "open":
        return "inconclusive"
    if effect == "false":
        return "refuted"
    return {"true": "vacuous", "false": "supported", "open": "inconclusive", None: "supported"}[control]


@pytest.mark.parametrize(("gate", "effect", "control"), list(product([None, *STATES], STATES, [None, *STATES])))
def test_every_combination_of_gate_effect_and_control_gives_its_verdict(gate, effect, control):
    asked = question(STATES.get(gate), STATES[effect], STATES.get(control))
    verdict, p = decide(asked, EMPTY, DELTA)
    assert verdict == expected(gate, effect, control)
    assert (p <= DELTA) == (verdict != "inconclusive")


@pytest.mark.parametrize("present", [1, 2, 3])
def test_every_statement_is_tested_at_its_share_of_the_error(present):
    for factor, verdict in ((0.99, "supported"), (1.01, "inconclusive")):
        p = factor * DELTA / present
        gate = PValues(p, 1.0) if present == 3 else None
        control = PValues(1.0, p) if present >= 2 else None
        found, level = decide(question(gate, PValues(p, 1.0), control), EMPTY, DELTA)
        assert found == verdict
        assert level == pytest.approx(factor * DELTA), "the level at which the verdict would stand"


@pytest.mark.parametrize("weak", ["gate", "effect", "control"])
def test_one_weak_statement_keeps_the_verdict_open(weak):
    parts = {"gate": PValues(1e-9, 1.0), "effect": PValues(1e-9, 1.0), "control": PValues(1.0, 1e-9)}
    assert decide(question(**parts), EMPTY, DELTA)[0] == "supported"
    barely = DELTA / 3 * 1.01
    parts[weak] = PValues(1.0, barely) if weak == "control" else PValues(barely, 1.0)
    assert decide(question(**parts), EMPTY, DELTA)[0] == "inconclusive"


def test_a_reported_claim_is_never_judged():
    assert decide(question(None, STATES["true"], None, report_only=True), EMPTY, DELTA) == (Verdict.REPORTED, 1.0)


def test_a_question_lists_its_arms_and_bounds_once():
    asked = Question(effect=Holds(Ratio("a", "b")), control=Holds(Ratio("c", "b")), gate=Holds(Level("b"), "gate"))
    assert asked.arms() == ("b", "a", "c")
    assert asked.bound_names() == ("gate", "bound")


def sheet(**means: float) -> Observations:
    samples = {}
    for number, (arm, mean) in enumerate(means.items()):
        values = np.random.default_rng(number).permutation(np.arange(400) < round(400 * mean)).astype(float)
        samples[arm] = Sample(values, 0.0, 1.0)
    return Observations(samples=samples, bounds={"bound": bound(0.8), "gate": bound(0.3)})


def test_the_reason_names_what_decided():
    asked = Question(effect=Holds(Level("e")), control=Holds(Level("c")), gate=Holds(Level("g"), "gate"))

    def reason(**means):
        return judge(asked, sheet(**means), DELTA)

    assert reason(e=0.95, c=0.1, g=0.9).reason == "e = 0.95 (bound >= 0.8); the control stays on its side"
    assert reason(e=0.5, c=0.1, g=0.9).reason == "e = 0.5 (bound >= 0.8)"
    assert reason(e=0.95, c=0.95, g=0.9).reason == "the control clears the bound too: c = 0.95"
    assert reason(e=0.95, c=0.1, g=0.1).reason == "gate not passed: g = 0.1 (needs >= 0.3)"
    assert reason(e=0.8, c=0.1, g=0.9).reason == "e = 0.8 (bound >= 0.8) is not decided within the images used"


def test_the_deciding_finding_has_an_interval_and_the_judgement_names_it():
    asked = Question(effect=every(Holds(Level("a")), Holds(Level("b"))))
    made = sheet(a=0.95, b=0.9)
    judgement = judge(asked, made, DELTA)
    assert judgement.main.label == "b"
    assert judgement.main.interval == betting.mean_interval(made.samples["b"].values, 0.0, 1.0, DELTA)
    assert judgement.effect[0].interval is None
    assert judgement.p <= DELTA


def test_an_undefined_effect_is_told_as_undefined():
    zeros = Observations(
        samples={arm: Sample(np.zeros(50), 0.0, 1.0) for arm in ("a", "b")}, bounds={"bound": bound(0.8)}
    )
    judgement = judge(Question(effect=Holds(Ratio("a", "b"))), zeros, DELTA)
    assert judgement.verdict == "inconclusive"
    assert judgement.reason.startswith("a / b = undefined")


# Worlds as (gate, effect, control) against bounds of 0.5: a truth at the bound holds. The verdicts that are wrong
# there, as judged by the rule in words above.
LIMIT = 0.5
WORLDS = {
    "all at their bounds": ((LIMIT, LIMIT, LIMIT), {"supported", "refuted"}),
    "effect at its bound": ((0.8, LIMIT, 0.1), {"refuted", "vacuous"}),
    "effect just below its bound": ((0.8, LIMIT - 1e-9, 0.1), {"supported", "vacuous"}),
    "control at its bound": ((0.8, 0.8, LIMIT), {"supported", "refuted"}),
    "control just below its bound": ((0.8, 0.8, LIMIT - 1e-9), {"vacuous", "refuted"}),
    "gate at its bound": ((LIMIT, 0.8, 0.1), {"vacuous", "refuted"}),
    "gate just below its bound": ((LIMIT - 1e-9, 0.8, 0.1), {"supported", "refuted"}),
}
CLAIMS, LOOKS = 2500, (20, 40, 80)


@pytest.mark.parametrize("world", WORLDS)
def test_the_rate_of_wrong_verdicts_at_the_boundary_stays_within_the_error(world):
    means, wrong_verdicts = WORLDS[world]
    delta = 0.2
    random = np.random.default_rng(list(WORLDS).index(world))
    # One uniform number per image moves all arms together, as hard pictures do.
    shared = random.random((CLAIMS, LOOKS[-1]))
    arms = [
        (np.where(random.random(shared.shape) < 0.5, shared, random.random(shared.shape)) < m).astype(float)
        for m in means
    ]
    weighed = [
        [(betting.p_above(a[:, :n], LIMIT, 0.0, 1.0), betting.p_below(a[:, :n], LIMIT, 0.0, 1.0)) for a in arms]
        for n in LOOKS
    ]
    wrong = decided = 0
    for claim in range(CLAIMS):
        for look in weighed:
            gate, effect, control = (PValues(float(true[claim]), float(false[claim])) for true, false in look)
            verdict, _ = decide(question(gate, effect, control), EMPTY, delta)
            if verdict != "inconclusive":
                decided += 1
                wrong += verdict in wrong_verdicts
                break
    assert binom.sf(wrong - 1, CLAIMS, delta) > 1e-4, f"{wrong} of {CLAIMS} verdicts are wrong"
    assert decided > 0, "a run in which nothing is ever decided shows nothing"


def test_the_simulated_weighing_is_that_of_real_statements():
    random = np.random.default_rng(1)
    for _ in range(20):
        values = {arm: (random.random(40) < 0.5).astype(float) for arm in "gec"}
        made = Observations(
            samples={arm: Sample(v, 0.0, 1.0) for arm, v in values.items()},
            bounds={"bound": bound(LIMIT), "gate": bound(LIMIT)},
        )
        asked = Question(effect=Holds(Level("e")), control=Holds(Level("c")), gate=Holds(Level("g"), "gate"))
        p = {
            arm: PValues(float(betting.p_above(v, LIMIT, 0, 1)), float(betting.p_below(v, LIMIT, 0, 1)))
            for arm, v in values.items()
        }
        assert decide(asked, made, 0.2) == decide(question(p["g"], p["e"], p["c"]), EMPTY, 0.2)
