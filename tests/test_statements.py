"""Statements weigh comparisons of arms with bounds, both ways, as their closed forms say."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import spearmanr

from harness.judging import betting
from harness.judging.curve_bounds import area_bounds
from harness.judging.curve_statements import BOX_LEVELS, Rises, Shape
from harness.judging.observations import Observations, PValues, Sample
from harness.judging.quantities import Difference, Level, Ratio
from harness.judging.statements import AtLeast, Every, Finding, Holds, Some, comparisons, every, headline, most, some
from support.claims import bound


def sheet(bounds=None, classes: int = 0, population: int | None = None, **arms) -> Observations:
    samples = {name: Sample(np.asarray(values, dtype=float), 0.0, 1.0) for name, values in arms.items()}
    return Observations(samples=samples, bounds=bounds or {"bound": bound(0.5)}, classes=classes, population=population)


def coin(mean: float, images: int = 200, seed: int = 0) -> np.ndarray:
    """Give 0s and 1s with exactly this mean in random order."""
    values = np.arange(images) < round(mean * images)
    return np.random.default_rng(seed).permutation(values).astype(float)


class Fixed:
    """A statement whose weighing is given."""

    def __init__(self, true: float, false: float, estimate: float = 0.0, name: str = "fixed") -> None:
        self.p, self.estimate, self.name = PValues(true, false), estimate, name

    def arms(self):
        return (self.name,)

    def bound_names(self):
        return ("bound",)

    def p_values(self, sheet):
        return self.p

    def findings(self, sheet):
        return (Finding(label=self.name, estimate=self.estimate, bound=0.5, direction=">=", p=self.p),)


def test_a_level_above_its_bound_holds_and_one_below_does_not():
    for direction, low, high in ((">=", "false", "true"), ("<=", "true", "false")):
        bounds = {"bound": bound(0.5, direction)}
        above = Holds(Level("a")).p_values(sheet(bounds, a=coin(0.8)))
        below = Holds(Level("a")).p_values(sheet(bounds, a=coin(0.2)))
        assert getattr(above, high) < 1e-6 < 0.9 < getattr(above, low)
        assert getattr(below, low) < 1e-6 < 0.9 < getattr(below, high)


def test_the_p_values_of_a_level_are_those_of_the_bounded_mean():
    values = coin(0.6)
    p = Holds(Level("a")).p_values(sheet(a=values))
    assert p.true == betting.p_above(values, 0.5, 0.0, 1.0)
    assert p.false == betting.p_below(values, 0.5, 0.0, 1.0)


def test_differences_and_ratios_are_bounded_means_of_pairs():
    a, b = coin(0.7, seed=1), coin(0.5, seed=2)
    made = sheet({"bound": bound(0.1)}, a=a, b=b)
    assert Difference("a", "b").above(made, 0.1).true == betting.p_above(a - b, 0.1, -1.0, 1.0)
    assert Difference("a", "b").estimate(made) == pytest.approx(0.2)
    assert Ratio("a", "b").above(made, 1.2).false == betting.p_below(a - 1.2 * b, 0.0, -1.2, 1.0)
    assert Ratio("a", "b").estimate(made) == pytest.approx(1.4)
    low, high = Ratio("a", "b").interval(made, 0.05)
    assert low < 1.4 < high
    assert Difference("a", "b").interval(made, 0.05) == betting.mean_interval(a - b, -1.0, 1.0, 0.05)


def test_pairing_decides_what_levels_alone_would_leave_open():
    hard = coin(0.6, images=400)
    harmed = hard * (1 - coin(0.03, images=400, seed=5))
    made = sheet({"bound": bound(0.9)}, harmed=harmed, clean=hard)
    assert Holds(Ratio("harmed", "clean")).p_values(made).true < 0.01
    least = Level("harmed").interval(made, 0.005)[0] / Level("clean").interval(made, 0.005)[1]
    assert least < 0.9, "the two levels alone would not do"


def test_an_arm_over_itself_is_one_as_soon_as_it_is_not_nothing():
    active, silent = sheet(arm=[0.0, 0.3, 0.0]), sheet(arm=[0.0, 0.0, 0.0])
    for above, expected in ((0.5, PValues(0.0, 1.0)), (1.2, PValues(1.0, 0.0)), (-0.5, PValues(0.0, 1.0))):
        assert Ratio("arm", "arm").above(active, above) == expected
        assert Ratio("arm", "arm").above(silent, above) == PValues(1.0, 1.0), "nothing over nothing is no number"


def test_a_ratio_below_a_negative_bound_is_weighed_over_the_whole_range_of_its_contrast():
    samples = {"gain": Sample(np.full(300, -0.9), -0.9, 0.9), "clean": Sample(np.ones(300), 0.0, 1.0)}
    p = Ratio("gain", "clean").above(Observations(samples=samples, bounds={}), -0.05)
    assert p.false < 1e-6
    assert p.true == 1.0


def test_nothing_over_nothing_is_undefined_and_decides_nothing():
    made = sheet(a=np.zeros(50), b=np.zeros(50))
    assert np.isnan(Ratio("a", "b").estimate(made))
    assert Ratio("a", "b").interval(made, 0.05) == (0.0, np.inf)
    assert Holds(Ratio("a", "b")).p_values(made) == PValues(1.0, 1.0)


@pytest.mark.parametrize("population", [None, 50])
def test_something_over_nothing_is_no_number_and_decides_nothing(population):
    made = sheet(a=np.ones(50), b=np.zeros(50), population=population)
    assert np.isnan(Ratio("a", "b").estimate(made))
    assert Holds(Ratio("a", "b")).p_values(made) == PValues(1.0, 1.0)
    assert Ratio("a", "b").interval(made, 0.05)[1] == np.inf


def contrasts(a, b, population: int | None = None) -> Observations:
    samples = {"a": Sample(np.asarray(a, float), -1.0, 1.0), "b": Sample(np.asarray(b, float), -1.0, 1.0)}
    return Observations(samples=samples, bounds={"bound": bound(0.5)}, population=population)


@pytest.mark.parametrize("top", [-0.9, -0.1, 0.1, 0.9])
def test_a_ratio_whose_denominator_is_negative_decides_nothing_whatever_its_numerator(top):
    # -.9 / -.4 = 2.25 is above the bound and E[a - bound x b] below 0: the contrast alone refutes what is true.
    made = contrasts(np.full(400, top), np.full(400, -0.4))
    assert Holds(Ratio("a", "b")).p_values(made) == PValues(1.0, 1.0)
    assert Ratio("a", "b").interval(made, 0.05) == (-np.inf, np.inf)
    assert np.isnan(Ratio("a", "b").estimate(made))


def test_a_ratio_needs_its_denominator_above_zero_no_less_than_its_contrast():
    b = np.where(np.random.default_rng(3).random(300) < 0.56, 1.0, -1.0)
    made = contrasts(np.full(300, 0.9), b)
    positive = float(betting.p_above(b, 0.0, -1.0, 1.0))
    assert 1e-3 < positive < 1.0
    assert Holds(Ratio("a", "b")).p_values(made).true == positive
    clear = contrasts(np.full(300, 0.9), np.full(300, 0.5))
    assert Holds(Ratio("a", "b")).p_values(clear).true < 1e-6
    low, high = Ratio("a", "b").interval(clear, 0.05)
    assert 0.5 < low < 1.8 < high


def test_a_ratio_of_all_of_a_finite_set_at_its_bound_holds_if_there_is_a_ratio():
    values = np.tile([0.5, -0.25], 10)
    assert Holds(Ratio("a", "b")).p_values(contrasts(values / 2, values, 20)) == PValues(0.0, 1.0)
    assert Holds(Ratio("a", "b")).p_values(contrasts(-values / 2, -values, 20)) == PValues(1.0, 1.0)


def test_the_worst_evident_failure_is_shown_else_the_least_established_part():
    made = sheet(good=coin(0.9), better=np.ones(200), bad=coin(0.2), worse=coin(0.1))
    parts = {arm: Holds(Level(arm)) for arm in made.samples}
    failing = every(parts["good"], parts["bad"], parts["worse"]).findings(made)
    assert failing[headline(failing)].label == "worse"
    standing = every(parts["better"], parts["good"]).findings(made)
    assert standing[headline(standing)].label == "good"
    undecided = every(parts["better"], Holds(Ratio("nothing", "nothing"))).findings(
        sheet(better=np.ones(200), nothing=np.zeros(200))
    )
    assert np.isnan(undecided[headline(undecided)].estimate)


@pytest.mark.parametrize(
    ("scaled", "classes", "threshold"),
    [
        ({}, 10, 0.05),
        ({"chance_times": 2.0}, 10, 0.2),
        ({"chance_times": 2.0}, 1000, 0.05),
        ({"chance_times": 2.0}, 0, 0.05),
        ({"above_chance": 0.5}, 10, 0.55),
        ({"above_chance": 0.5, "chance_times": 8.0}, 10, 0.8),
        ({"above_chance": 0.5}, 0, 0.05),
    ],
)
def test_bounds_in_units_of_chance_scale_with_the_classes(scaled, classes, threshold):
    made = sheet({"bound": bound(0.05, **scaled)}, classes=classes, a=coin(0.3))
    (finding,) = Holds(Level("a")).findings(made)
    assert finding.bound == pytest.approx(threshold)
    assert finding.p == Holds(Level("a")).p_values(made)
    assert finding.p.true == betting.p_above(coin(0.3), threshold, 0.0, 1.0)
    assert finding.margin == pytest.approx(0.3 - threshold)


def test_every_needs_all_parts_and_falls_with_one():
    parts = Fixed(0.01, 1.0), Fixed(0.03, 0.5), Fixed(0.02, 0.2)
    assert every(*parts).p_values(sheet()) == PValues(0.03, pytest.approx(0.6))
    assert isinstance(every(*parts), Every)
    assert every(parts[0]) is parts[0]


def test_some_needs_one_part_and_falls_with_all():
    parts = Fixed(1.0, 0.01), Fixed(0.5, 0.03), Fixed(0.2, 0.02)
    assert some(*parts).p_values(sheet()) == PValues(pytest.approx(0.6), 0.03)
    assert isinstance(some(*parts), Some)
    assert some(parts[0]) is parts[0]


def test_some_and_a_majority_report_the_part_that_decides_them():
    clear, loud = Fixed(1e-9, 1.0, 0.6, "clear"), Fixed(0.3, 1.0, 0.9, "loud")
    assert [f.label for f in some(loud, clear).findings(sheet())] == ["clear"], "established, if by a smaller margin"
    least, most_of_all = Fixed(1.0, 0.01, 0.1, "least refuted"), Fixed(1.0, 1e-9, 0.4, "most refuted")
    assert [f.label for f in some(most_of_all, least).findings(sheet())] == ["least refuted"]
    parts = (clear, Fixed(1e-4, 1.0, 0.55, "second"), Fixed(0.5, 0.5, 0.9, "third"))
    assert [f.label for f in AtLeast(2, parts).findings(sheet())] == ["second"]


def test_comparisons_are_counted_through_all_combinations():
    parts = [Fixed(0.5, 0.5)] * 5
    assert comparisons(parts[0]) == 1
    assert comparisons(every(parts[0], some(*parts), most(*parts[:3]))) == 9


def test_some_reports_the_part_that_comes_closest_to_holding():
    far, near, undefined = Fixed(1, 1, 0.1, "far"), Fixed(1, 1, 0.6, "near"), Fixed(1, 1, float("nan"), "undefined")
    assert [f.label for f in some(undefined, far, near).findings(sheet())] == ["near"]
    assert [f.label for f in some(every(far, near), undefined).findings(sheet())] == ["far", "near"]
    best = some(every(Fixed(1, 1, 0.9, "a"), far), every(near, near)).findings(sheet())
    assert [f.label for f in best] == ["near", "near"], "a conjunction is as good as its worst part"


def test_combinations_list_arms_and_bounds_once():
    statement = every(Holds(Ratio("a", "b"), "x"), some(Holds(Level("b"), "y"), Holds(Level("c"), "x")))
    assert statement.arms() == ("a", "b", "c")
    assert statement.bound_names() == ("x", "y")


def test_the_headline_is_the_finding_that_clears_its_bound_by_least():
    made = sheet({"up": bound(0.5), "down": bound(0.9, "<=")}, a=coin(0.8), b=coin(0.7))
    findings = every(Holds(Level("a"), "up"), Holds(Level("a"), "down"), Holds(Level("b"), "up")).findings(made)
    assert [round(f.margin, 3) for f in findings] == [0.3, 0.1, 0.2]
    assert headline(findings) == 1


def test_a_rising_curve_rises_and_a_falling_one_does_not():
    means = [0.1, 0.3, 0.5, 0.7, 0.9]
    arms = {f"l{i}": coin(mean, images=400, seed=i) for i, mean in enumerate(means)}
    made = sheet({"bound": bound(0.9)}, **arms)
    rising, falling = Rises(tuple(arms)), Rises(tuple(reversed(arms)))
    assert rising.p_values(made).true < 1e-3 < 0.9 < rising.p_values(made).false
    assert falling.p_values(made).false < 1e-3 < 0.9 < falling.p_values(made).true
    mixed = Rises(("l0", "l2", "l1", "l4", "l3"))
    (finding,) = mixed.findings(made)
    assert finding.estimate == pytest.approx(spearmanr(range(5), [0.1, 0.5, 0.3, 0.9, 0.7]).statistic)
    assert mixed.p_values(made).false < 0.05, "0.8 is established to be below 0.9"


def test_a_curve_that_does_not_move_neither_rises_nor_fails():
    arms = {f"l{i}": coin(0.5, seed=i) for i in range(4)}
    p = Rises(tuple(arms)).p_values(sheet({"bound": bound(0.9)}, **arms))
    assert min(p.true, p.false) > 0.05


def test_a_saturated_curve_is_decided_by_a_tolerance_and_by_nothing_else():
    # After block 2 the curve stands within .001 of 1, in an order that no number of images tells apart.
    random = np.random.default_rng(1)
    arms = {f"l{b}": np.clip(random.normal(mean, 0.15, 3000), 0, 1) for b, mean in enumerate((0.3, 0.6, 0.8))}
    arms |= {f"l{b}": np.full(3000, 0.999) + 0.0004 * random.choice([-1, 1], 3000) for b in range(3, 8)}
    strict, tolerant = (
        sheet({"bound": bound(0.98)}, **arms),
        sheet({"bound": bound(0.98, tolerance=0.01, tolerance_origin="read to that")}, **arms),
    )
    rises = Rises(tuple(arms))
    assert min(rises.p_values(strict).true, rises.p_values(strict).false) > 0.05
    assert rises.p_values(tolerant).true < 1e-6
    assert rises.estimate(tolerant) == 1.0
    assert rises.interval(tolerant, 0.01) == (1.0, 1.0)
    falling = Rises(tuple(reversed(arms)))
    assert falling.p_values(tolerant).false < 1e-6, "the tolerance forgives no real fall"


def test_falls_within_the_tolerance_that_add_up_are_a_fall():
    # Every step falls by .006, so two steps fall by more than .01: no order has just these inversions.
    arms = {f"l{b}": np.full(400, 0.5 - 0.006 * b) for b in range(5)}
    made = sheet({"bound": bound(0.5, tolerance=0.01, tolerance_origin="o")}, population=400, **arms)
    rises = Rises(tuple(arms))
    assert rises.estimate(made) == pytest.approx(1 - 12 * (2 * 3 + 3 * 2 + 4) / 120)
    assert rises.p_values(made) == PValues(1.0, 0.0)
    assert rises.interval(made, 0.01) == (pytest.approx(-0.6),) * 2


def test_evidence_on_an_order_is_kept_once_it_was_reached():
    random = np.random.default_rng(5)
    up = [(random.random(192) < mean).astype(float) for mean in (0.2, 0.5, 0.8)]
    made = sheet({"bound": bound(0.9)}, **{f"l{b}": one for b, one in enumerate(up)})
    back = sheet({"bound": bound(0.9)}, **{f"l{b}": np.r_[one, up[2 - b]] for b, one in enumerate(up)})
    rises = Rises(("l0", "l1", "l2"))
    assert rises.p_values(back).true <= rises.p_values(made).true < 0.01


def test_all_of_a_finite_set_tells_the_order_exactly_ties_included():
    tied = {f"l{b}": np.full(7, value) for b, value in enumerate((0.1, 0.5, 0.5, 0.9))}
    for value, expected in ((0.9, PValues(0.0, 1.0)), (0.91, PValues(1.0, 0.0))):
        made = sheet({"bound": bound(value)}, population=7, **tied)
        assert Rises(tuple(tied)).p_values(made) == expected
        assert Rises(tuple(tied)).interval(made, 0.01) == (pytest.approx(0.9),) * 2


def test_a_rising_curve_with_an_upper_bound_is_refused():
    with pytest.raises(ValueError, match="'bound' of a rising curve must be >="):
        Rises(("a", "b")).p_values(sheet({"bound": bound(0.9, "<=")}, a=coin(0.1), b=coin(0.2)))


@pytest.mark.parametrize(
    ("direction", "value", "side"),
    [
        (">=", 0.3, "true"),
        (">=", 0.7, "false"),
        ("<=", 0.3, "false"),
        ("<=", 0.7, "true"),
    ],
)
def test_a_shape_is_established_if_every_curve_of_the_box_satisfies_the_bound(direction, value, side):
    arms = {f"l{i}": coin(mean, images=2000, seed=i) for i, mean in enumerate((0.4, 0.5, 0.6))}
    made = sheet({"bound": bound(value, direction)}, **arms)
    shape = Shape(tuple(arms), area_bounds, name="area")
    p = shape.p_values(made)
    assert getattr(p, side) == BOX_LEVELS[0]
    assert {p.true, p.false} == {BOX_LEVELS[0], 1.0}
    (finding,) = shape.findings(made)
    assert finding.estimate == pytest.approx(0.5)
    low, high = finding.quantity.interval(made, 0.01)
    assert low < 0.5 < high


def test_a_shape_is_open_where_the_box_holds_curves_on_both_sides():
    arms = {f"l{i}": coin(mean, seed=i) for i, mean in enumerate((0.4, 0.5, 0.6))}
    assert Shape(tuple(arms), area_bounds).p_values(sheet(**arms)) == PValues(1.0, 1.0)


def test_the_box_of_a_shape_shares_its_error_among_the_points():
    arms = {f"l{i}": coin(0.5, seed=i) for i in range(4)}
    made = sheet(**arms)
    (finding,) = Shape(tuple(arms), area_bounds).findings(made)
    ends = [betting.mean_interval(values, 0.0, 1.0, 0.01 / 4) for values in arms.values()]
    for alpha in (0.01, (0.01, 0.02), (0.02, 0.01)):
        assert finding.quantity.interval(made, alpha) == area_bounds(*np.transpose(ends))


def test_a_shape_decides_at_the_smallest_level_whose_box_still_decides():
    arms = {f"l{i}": coin(0.5, images=120, seed=i) for i in range(2)}
    widths = []
    for value in (0.40, 0.35, 0.30, 0.20):
        p = Shape(tuple(arms), area_bounds).p_values(sheet({"bound": bound(value)}, **arms))
        widths.append(p.true)
    assert all(wide >= narrow for wide, narrow in pairwise(widths))
    assert widths[-1] == BOX_LEVELS[0]
    assert set(widths) - {1.0} <= set(BOX_LEVELS)


def test_a_finite_population_decides_exactly():
    values = coin(0.6, images=40)
    full = Holds(Level("a")).p_values(sheet({"bound": bound(0.59)}, population=40, a=values))
    assert full == PValues(0.0, 1.0)
    assert Level("a").interval(sheet(population=40, a=values), 0.05) == pytest.approx((0.6, 0.6))


def test_more_than_half_must_hold_and_the_part_on_which_it_hangs_is_reported():
    parts = [
        Fixed(1e-4, 1.0, 0.9, "a"),
        Fixed(1e-3, 1.0, 0.8, "b"),
        Fixed(1e-2, 1.0, 0.7, "c"),
        Fixed(1.0, 1e-5, 0.1, "d"),
    ]
    statement = most(*parts)
    assert statement == AtLeast(3, tuple(parts))
    assert statement.p_values(sheet()) == PValues(2 * 1e-2, 1.0)
    assert [finding.label for finding in statement.findings(sheet())] == ["c"]
    assert statement.arms() == ("a", "b", "c", "d")
    assert statement.bound_names() == ("bound",)
    failing = most(*[Fixed(1.0, 10.0**-k, -k, f"{k}") for k in range(1, 4)])
    assert failing.p_values(sheet()).false == pytest.approx(2 * 10.0**-2)
    assert [finding.label for finding in failing.findings(sheet())] == ["2"]


def test_a_majority_of_blocks_below_a_bound_bounds_their_median():
    bounds = {"bound": bound(0.5, "<=")}
    arms = {str(k): coin(mean, seed=k) for k, mean in enumerate((0.1, 0.2, 0.1, 0.9, 0.9))}
    parts = [Holds(Level(arm)) for arm in arms]
    p = most(*parts).p_values(sheet(bounds, **arms))
    assert p.true < 1e-6 < 0.9 < p.false
    arms["0"] = coin(0.9, seed=9)
    p = most(*parts).p_values(sheet(bounds, **arms))
    assert p.false < 1e-6 < 0.9 < p.true


@pytest.mark.parametrize("count", [0, 3])
def test_more_parts_than_there_are_cannot_be_asked_for(count):
    with pytest.raises(ValueError, match=f"at least {count} of 2 statements"):
        AtLeast(count, (Fixed(0.1, 0.1), Fixed(0.1, 0.1)))
