"""Several tests at once: adjusted p-values, e-values, and the p-values of composite claims.

A claim carries two p-values: p_true is small when the claim is evidently true (the p-value of "it is false"),
p_false is small when it is evidently false. Inputs may be anytime-valid; every rule here keeps that.
"""

import numpy as np


def holm(p) -> np.ndarray:
    """Return Holm's adjusted p-values, which control the family-wise error under any dependence.

    p: [m] -> [m], in the order given. Raises ValueError for values outside of [0, 1]. Source: Holm 1979.
    """
    p = _probabilities(p, "p")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def e_bh(e, alpha: float) -> np.ndarray:
    """Return which nulls the e-BH procedure rejects at false discovery rate alpha, under any dependence.

    e: [m] e-values -> bool [m]. Raises ValueError for negative or NaN values and alpha outside of (0, 1).
    Source: Wang & Ramdas, "False discovery rate control with e-values", JRSS-B 2022.
    """
    e = np.asarray(e, dtype=float)
    if e.ndim != 1 or not (e >= 0.0).all():
        raise ValueError(f"e = {e!r}; allowed is one axis of numbers >= 0")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha = {alpha!r}; allowed are numbers between 0 and 1")
    ranks = np.arange(1, e.size + 1)
    enough = np.flatnonzero(np.sort(e)[::-1] * ranks >= e.size / alpha)
    rejections = enough[-1] + 1 if enough.size else 0
    return e * rejections >= e.size / alpha if rejections else np.zeros(e.size, dtype=bool)


def p_to_e(p) -> np.ndarray:
    """Turn p-values into e-values: (1 - p + p ln p) / (p ln^2 p), the average of k p^(k-1) over k in (0, 1).

    p: [...] -> [...]; inf at 0 and 1/2 at 1. Source: Vovk & Wang, "E-values", Annals of Statistics 2021.
    """
    p = np.asarray(p, dtype=float)
    if not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError(f"p = {p!r}; allowed are numbers in [0, 1]")
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        surprise = -np.log(p)
        exact = (np.expm1(surprise) - surprise) / surprise**2
    series = 0.5 + surprise / 6 + surprise**2 / 24  # the exact form cancels near p = 1
    return np.where(surprise < 1e-4, series, np.where(p > 0.0, exact, np.inf))


def hold_jointly(p, decided, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which decided verdicts hold all at once (Holm), and which with a false discovery rate (e-BH).

    p, decided: [claim], one of every claim that was asked: the level at which its verdict stands, and whether there is
    one. An undecided claim counts with p = 1: which claims are decided is itself a finding, and to adjust for those
    alone would forget all that might have been decided wrongly. A verdict names a side, and its p-value is that of the
    other side. Holm keeps the chance of any wrong side within alpha for independent claims (Shaffer 1980), and its
    first step, alpha over the number of claims, under any dependence; e-BH under any dependence.
    Raises ValueError as `holm` and `e_bh`, and for unequal lengths.
    """
    p, decided = _probabilities(p, "p"), np.asarray(decided, dtype=bool)
    if p.shape != decided.shape:
        raise ValueError(f"{p.size} p-values and {decided.size} decisions; allowed is one each per claim")
    asked = np.where(decided, p, 1.0)
    return decided & (holm(asked) <= alpha), decided & e_bh(p_to_e(asked), alpha)


def every(p_trues, p_falses) -> tuple[float, float]:
    """Return (p_true, p_false) of the claim that all parts hold.

    p_trues, p_falses: [m], of the parts. True needs every part (intersection-union test: the maximum); false
    needs one part (Bonferroni: m times the minimum). Equivalence is `every` of "above low", "below high".
    Raises ValueError for no parts and for values outside of [0, 1].
    """
    p_trues, p_falses = _parts(p_trues, p_falses)
    return float(p_trues.max()), float(min(1.0, p_falses.size * p_falses.min()))


def some(p_trues, p_falses) -> tuple[float, float]:
    """Return (p_true, p_false) of the claim that at least one part holds: the dual of `every`."""
    p_false, p_true = every(p_falses, p_trues)
    return p_true, p_false


def at_least(count: int, p_trues, p_falses) -> tuple[float, float]:
    """Return (p_true, p_false) of the claim that at least `count` of the parts hold; m of m: every, 1 of m: some.

    True needs `count` parts: any count - 1 of m may be left to chance, so that the count-th smallest p-value is worth
    m - count + 1 times itself; false needs m - count + 1 parts. Valid under any dependence. Raises ValueError as
    `every`, and for counts outside of 1 to m. Source: Benjamini & Heller, "Screening for partial conjunction
    hypotheses", Biometrics 2008.
    """
    p_trues, p_falses = _parts(p_trues, p_falses)
    if not 1 <= count <= p_trues.size:
        raise ValueError(f"at least {count} of {p_trues.size} parts; allowed: 1 to all of them")
    spare = p_trues.size - count + 1
    p_true, p_false = spare * np.sort(p_trues)[count - 1], count * np.sort(p_falses)[spare - 1]
    return float(min(1.0, p_true)), float(min(1.0, p_false))


def _parts(p_trues, p_falses) -> tuple[np.ndarray, np.ndarray]:
    p_trues, p_falses = _probabilities(p_trues, "p_trues"), _probabilities(p_falses, "p_falses")
    if p_trues.size != p_falses.size or p_trues.size == 0:
        raise ValueError(f"{p_trues.size} p_trues and {p_falses.size} p_falses; allowed is one each per part")
    return p_trues, p_falses


def _probabilities(p, name: str) -> np.ndarray:
    p = np.asarray(p, dtype=float)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError(f"{name} = {p!r}; allowed is one axis of numbers in [0, 1]")
    return p
