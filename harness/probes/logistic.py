"""Logistic probes and their under-trained rival, from tables of features in memory."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from harness.probes.probe import ABSENT, FOLDS, Fit
from harness.probes.ridge import as_fit

# Penalty on the squared weights of standardized features beside the mean cross-entropy, from strong to weak.
STRENGTHS = tuple(10.0**exponent for exponent in (0, -0.5, -1, -1.5, -2, -2.5, -3, -3.5, -4, -4.5, -5))
LOOSE = {"maxiter": 200, "gtol": 1e-4, "ftol": 1e-7, "maxcor": 20}
TIGHT = {"maxiter": 5000, "gtol": 1e-7, "ftol": 1e-13, "maxcor": 20}
SGD_RATE, SGD_BATCH = 5e-5, 64  # one epoch: catalogue sc D3


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Images to fit on: features [image, feature], labels and folds [image], and the number of classes."""

    inputs: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    classes: int

    def part(self, rows: np.ndarray) -> "Examples":
        """Give some of the images."""
        return Examples(
            inputs=self.inputs[rows], labels=self.labels[rows], folds=self.folds[rows], classes=self.classes
        )


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Weights of standardized features: `packed` [class, feature + 1] for the classes `seen`, intercept last."""

    centre: np.ndarray
    scale: np.ndarray
    seen: np.ndarray
    packed: np.ndarray

    def scores(self, inputs: np.ndarray) -> np.ndarray:
        """Score images [image, feature] for the classes seen: [image, class]."""
        return ((inputs - self.centre) / self.scale) @ self.packed[:, :-1].T + self.packed[:, -1]


def fit_logistic(examples: Examples, strengths: tuple[float, ...] = STRENGTHS) -> Fit:
    """Fit multinomial logistic regression by L-BFGS; strength by held-out cross-entropy over the folds.

    Strengths are tried from strong to weak, each from the last solution, until the held-out loss rises. Held-out
    images of classes that the other folds lack do not count.
    """
    best, least = strengths[0], np.inf
    starts: list[Solution | None] = [None] * FOLDS
    for strength in strengths if len(strengths) > 1 else ():
        solved = [_without(examples, fold, strength, starts[fold]) for fold in range(FOLDS)]
        loss = sum(_held_out_loss(examples, fold, solution) for fold, solution in enumerate(solved))
        if loss > least:
            break
        best, least, starts = strength, loss, solved
    return _as_fit(solve(examples, best, TIGHT), best, examples.classes)


def solve(examples: Examples, strength: float, options: dict, start: Solution | None = None) -> Solution:
    """Minimize mean cross-entropy + strength/2 x squared weights; the intercept is free."""
    centre, scale = _moments(examples.inputs)
    seen, targets = np.unique(examples.labels, return_inverse=True)
    inputs = np.hstack([(examples.inputs - centre) / scale, np.ones((len(targets), 1))])
    shape, rows = (len(seen), inputs.shape[1]), np.arange(len(targets))

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        packed = flat.reshape(shape)
        scores = inputs @ packed.T
        logs = logsumexp(scores, axis=1)
        residual = np.exp(scores - logs[:, None])
        residual[rows, targets] -= 1.0
        gradient = residual.T @ inputs / len(targets)
        gradient[:, :-1] += strength * packed[:, :-1]
        loss = (logs - scores[rows, targets]).mean() + 0.5 * strength * (packed[:, :-1] ** 2).sum()
        return float(loss), gradient.ravel()

    first = np.zeros(shape) if start is None else start.packed
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    return Solution(centre=centre, scale=scale, seen=seen, packed=found.x.reshape(shape))


def fit_sgd(examples: Examples, seed: int) -> Fit:
    """Train the same model too little, on purpose: one epoch of plain SGD at a rate of 5e-5 from a random start."""
    random = np.random.Generator(np.random.PCG64([seed, 13]))
    centre, scale = _moments(examples.inputs)
    inputs = np.hstack([(examples.inputs - centre) / scale, np.ones((len(examples.labels), 1))])
    bound = 1.0 / np.sqrt(inputs.shape[1] - 1)
    packed = random.uniform(-bound, bound, (examples.classes, inputs.shape[1]))
    order = random.permutation(len(inputs))
    for start in range(0, len(order), SGD_BATCH):
        rows = order[start : start + SGD_BATCH]
        residual = np.exp(log_softmax(inputs[rows] @ packed.T, axis=1))
        residual[np.arange(len(rows)), examples.labels[rows]] -= 1.0
        packed -= SGD_RATE * residual.T @ inputs[rows] / len(rows)
    seen = np.arange(examples.classes)
    return _as_fit(Solution(centre=centre, scale=scale, seen=seen, packed=packed), float("nan"), examples.classes)


def _without(examples: Examples, fold: int, strength: float, start: Solution | None) -> Solution | None:
    """Solve on all folds but one; None where nothing is left."""
    rest = examples.folds != fold
    return solve(examples.part(rest), strength, LOOSE, start) if rest.any() else None


def _held_out_loss(examples: Examples, fold: int, solution: Solution | None) -> float:
    if solution is None:
        return 0.0
    held = examples.part((examples.folds == fold) & np.isin(examples.labels, solution.seen))
    logs = log_softmax(solution.scores(held.inputs), axis=1)
    return -float(logs[np.arange(len(logs)), np.searchsorted(solution.seen, held.labels)].sum())


def _moments(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean and the standard deviation of every feature; 1 where it is constant."""
    variance = inputs.var(axis=0, dtype=np.float64)
    constant = variance <= 1e-12 * max(variance.max(), 1e-300)
    return inputs.mean(axis=0, dtype=np.float64), np.sqrt(np.where(constant, 1.0, variance))


def _as_fit(solution: Solution, strength: float, classes: int) -> Fit:
    weights = np.zeros((len(solution.centre), classes))
    bias = np.full(classes, ABSENT)
    weights[:, solution.seen] = (solution.packed[:, :-1] / solution.scale).T
    bias[solution.seen] = solution.packed[:, -1]
    return as_fit(solution.centre, weights, bias, strength)
