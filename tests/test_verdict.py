"""Gate, effect and control make one verdict, wrong with probability at most delta."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from harness.judging import betting
from harness.judging.curve_bounds import area_bounds
from harness.judging.curve_statements import Rises, Shape
from harness.judging.observations import Observations, PValues, Sample
from harness.judging.quantities import Difference, Level, Ratio
from harness.judging.statements import Finding, Holds, Statement, every, most, some
from harness.judging.verdict import GATE_MISSED, Levels, Question, Shares, Verdict, decide, judge, shares
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


PARTS = [(gate, control) for gate in (False, True) for control in (False, True)]


@pytest.mark.parametrize(("gate", "control"), PARTS)
def test_what_can_go_wrong_at_once_shares_the_error_in_every_state_of_the_world(gate, control):
    asked = question(PValues(1, 1) if gate else None, PValues(1, 1), PValues(1, 1) if control else None)
    found = shares(asked, DELTA)
    missed = found.gate.false if gate else 0.0
    sides = (found.control.true, found.control.false) if control else (0.0,)
    assert found.gate.true <= DELTA
    assert missed + found.effect.true == pytest.approx(DELTA), "gate passed, effect false"
    for side in sides:
        assert missed + found.effect.false + side == pytest.approx(DELTA), "gate passed, effect true"


def test_the_levels_are_those_of_the_closed_form():
    full = question(*[PValues(1.0, 1.0)] * 3)
    halves = Levels((1 - GATE_MISSED) / 2, (1 - GATE_MISSED) / 2)
    wanted = Shares(gate=Levels(1.0, GATE_MISSED), effect=Levels(1 - GATE_MISSED, halves.false), control=halves)
    assert shares(full, 1.0) == wanted
    assert shares(question(None, PValues(1, 1), None), DELTA).effect == Levels(DELTA, DELTA)


@pytest.mark.parametrize(
    ("verdict", "weak"),
    [
        ("supported", "gate true"),
        ("supported", "effect true"),
        ("supported", "control false"),
        ("refuted", "gate true"),
        ("refuted", "effect false"),
        ("vacuous", "gate false"),
        ("vacuous", "effect true"),
        ("vacuous", "control true"),
    ],
)
def test_every_side_is_tested_at_its_share_and_the_verdict_tells_at_which_error_it_stands(verdict, weak):
    part, side = weak.split()
    share = getattr(getattr(shares(question(*[PValues(1, 1)] * 3), 1.0), part), side)
    settled = {"gate": "true", "effect": "true", "control": "true" if verdict == "vacuous" else "false"}
    settled["effect"] = "false" if verdict == "refuted" else "true"
    settled[part] = side
    for factor, expected_verdict in ((0.99, verdict), (1.01, "inconclusive")):
        p = {name: STATES[state] for name, state in settled.items()}
        level = factor * DELTA * share
        p[part] = PValues(level, 1.0) if side == "true" else PValues(1.0, level)
        found, at = decide(question(**p), EMPTY, DELTA)
        assert found == expected_verdict
        assert at == pytest.approx(factor * DELTA)


@pytest.mark.parametrize("weak", ["gate", "effect", "control"])
def test_one_weak_statement_keeps_the_verdict_open(weak):
    parts = {"gate": PValues(1e-9, 1.0), "effect": PValues(1e-9, 1.0), "control": PValues(1.0, 1e-9)}
    assert decide(question(**parts), EMPTY, DELTA)[0] == "supported"
    barely = DELTA * 1.01
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
    ends = (DELTA / 2, DELTA / 2)  # picked among two
    assert judgement.main.interval == betting.mean_interval(made.samples["b"].values, 0.0, 1.0, ends)
    assert judgement.effect[0].interval is None
    assert judgement.p <= DELTA


def statements() -> dict[str, Statement]:
    """Give one statement of every kind, about arms a to f and a signed one."""
    holds = [Holds(Level(arm)) for arm in "abcdef"]
    return {
        "level": holds[0],
        "at most": Holds(Level("a"), "most"),
        "difference": Holds(Difference("a", "b"), "zero"),
        "ratio": Holds(Ratio("a", "b"), "one"),
        "signed ratio": Holds(Ratio("signed", "b"), "zero"),
        "equivalence": every(Holds(Level("a")), Holds(Level("a"), "most")),
        "every": every(*holds),
        "some": some(*holds),
        "most": most(*holds),
        "nested": every(some(*holds[:3]), most(*holds[3:]), Holds(Difference("a", "b"), "zero")),
        "some of every": some(every(*holds[:2]), every(*holds[2:4]), holds[4]),
        "rises": Rises(tuple("abcdef"), "zero"),
        "rises, with others": every(Rises(tuple("abcdef"), "zero"), *holds[:2]),
        "shape": Shape(tuple("abc"), area_bounds),
    }


@pytest.mark.parametrize("kind", statements())
@pytest.mark.parametrize("population", [None, 300])
def test_the_interval_of_what_decides_leaves_out_the_wrong_side_of_the_bound(kind, population):
    bounds = {"bound": bound(0.5), "most": bound(0.52, "<="), "zero": bound(0.0), "one": bound(1.0), "gate": bound(0.3)}
    seen = set()
    for seed in range(40):
        random = np.random.default_rng(seed)
        images, shift = int(random.choice([60, 300])), random.choice([-0.2, -0.1, -0.05, 0.05, 0.1, 0.2])
        hard = random.random(images)
        arms = {arm: Sample((hard < 0.5 + shift + random.normal(0, 0.06)).astype(float), 0.0, 1.0) for arm in "abcdef"}
        arms["signed"] = Sample(np.clip(arms["a"].values - hard, -1, 1), -1.0, 1.0)
        arms |= {"gate": Sample(np.ones(images), 0.0, 1.0), "control": Sample(np.zeros(images), 0.0, 1.0)}
        made = Observations(samples=arms, bounds=bounds, population=population)
        with_all = random.random() < 0.5
        asked = Question(
            effect=statements()[kind],
            control=Holds(Level("control")) if with_all else None,
            gate=Holds(Level("gate"), "gate") if with_all else None,
        )
        judgement = judge(asked, made, 0.1)
        if judgement.verdict not in ("supported", "refuted"):
            continue
        seen.add(str(judgement.verdict))
        main = judgement.main
        low, high = main.interval
        above = (judgement.verdict == "supported") is (main.direction == ">=")
        assert low <= high
        assert low >= main.bound if above else high <= main.bound
        assert (main.p.true if judgement.verdict == "supported" else main.p.false) <= 0.1
        if with_all and judgement.verdict == "supported":
            assert judgement.control[0].interval[1] <= judgement.control[0].bound
            assert judgement.gate[0].interval[0] >= judgement.gate[0].bound
    assert "refuted" in seen, "a run in which nothing is ever decided shows nothing"
    assert kind == "equivalence" or "supported" in seen


def test_the_end_of_an_interval_leaves_out_the_bound_exactly_where_its_side_is_established():
    random = np.random.default_rng(4)
    crossed = 0
    for _ in range(300):
        values = (random.random(150) < 0.62).astype(float)
        made = Observations(samples={"a": Sample(values, 0.0, 1.0)}, bounds={"bound": bound(0.5)})
        judgement = judge(Question(effect=Holds(Level("a"))), made, DELTA)
        crossed += judgement.verdict == "supported"
        assert (judgement.main.interval[0] >= 0.5) == (judgement.verdict == "supported")
    assert 50 < crossed < 250


def test_the_part_that_was_picked_among_many_is_rarely_told_a_level_that_it_has_not():
    # The best of 20 blocks that are all alike: an interval at the level of one part would miss it far more often.
    random, parts, runs, delta = np.random.default_rng(6), 20, 400, 0.1
    arms = [f"block {b}" for b in range(parts)]
    asked = Question(effect=some(*[Holds(Level(arm)) for arm in arms]))
    missed = alone = 0
    for _ in range(runs):
        x = (random.random((parts, 100)) < 0.35).astype(float)
        samples = {arm: Sample(row, 0.0, 1.0) for arm, row in zip(arms, x, strict=True)}
        main = judge(asked, Observations(samples=samples, bounds={"bound": bound(0.5)}), delta).main
        missed += main.interval[0] > 0.35
        alone += betting.mean_interval(samples[main.label].values, 0.0, 1.0, (delta, delta))[0] > 0.35
    assert binom.sf(missed - 1, runs, delta) > 1e-3
    assert binom.sf(alone - 1, runs, delta) < 1e-3, "otherwise there was nothing to account for"


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
