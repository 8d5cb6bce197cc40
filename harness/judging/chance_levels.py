"""What directions without meaning give: the nulls of claims about value vectors, by closed form or quadrature.

Numbers only. The nulls depend on width, number of vectors and number of classes, so they are computed and not tabulated
(catalogue, section 4.3).
"""

from functools import cache
from math import comb

import numpy as np
from scipy.integrate import simpson
from scipy.special import betainc

POINTS = 20_001  # of the quadrature over [-1, 1]; the integrand is smooth
KEPT = 5  # strongest keys and best value vectors of a claim


@cache
def largest_cosine(vectors: int, width: int) -> float:
    """Give the expected largest cosine of so many random unit vectors of this width with one direction.

    A single cosine c has P(c <= x) = I((1 + x)/2; (d - 1)/2, (d - 1)/2), the regularized incomplete beta function; the
    largest of n has this to the n, and its mean is 1 minus the integral. Raises ValueError for fewer than one vector or
    two dimensions.
    """
    if vectors < 1 or width < 2:
        raise ValueError(f"{vectors} vectors in {width} dimensions; allowed: at least 1 in at least 2")
    half = (width - 1) / 2
    cosines = np.linspace(-1.0, 1.0, POINTS)
    return float(1.0 - simpson(betainc(half, half, (1.0 + cosines) / 2) ** vectors, x=cosines))


def chance_of_meeting(vectors: int, kept: int = KEPT) -> float:
    """Give the probability that two random sets of `kept` out of so many vectors share a member (hypergeometric).

    Raises ValueError for fewer vectors than are kept.
    """
    if not 1 <= kept <= vectors:
        raise ValueError(f"{kept} of {vectors} vectors; allowed: 1 to all of them")
    return 1.0 - comb(vectors - kept, kept) / comb(vectors, kept)
