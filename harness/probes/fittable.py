"""What can be fitted on training images before it is read, and what comes of it."""

from collections.abc import Mapping

from torch import Tensor

from harness.probes.learned_token import TokenFit, TokenReadout
from harness.probes.prefix_moments import PrefixFit, PrefixMoments
from harness.probes.probe import Fit, Probe
from harness.probes.statistic import Collected, Statistic

Fittable = Probe | TokenReadout | PrefixMoments | Statistic
Trained = Fit | TokenFit | PrefixFit
Fitted = Trained | Collected


def linear_fit(fits: Mapping[Fittable, Fitted], probe: Probe) -> Fit:
    """Give the fit of a probe."""
    fit = fits[probe]
    assert isinstance(fit, Fit)
    return fit


def token_fit(fits: Mapping[Fittable, Fitted], readout: TokenReadout) -> TokenFit:
    """Give the fit of a learned readout."""
    fit = fits[readout]
    assert isinstance(fit, TokenFit)
    return fit


def prefix_fit(fits: Mapping[Fittable, Fitted]) -> PrefixFit:
    """Give the moments of prefix tokens."""
    fit = fits[PrefixMoments()]
    assert isinstance(fit, PrefixFit)
    return fit


def collected(fits: Mapping[Fittable, Fitted], statistic: Statistic) -> Mapping[str, Tensor]:
    """Give what a statistic collected."""
    fit = fits[statistic]
    assert isinstance(fit, Collected)
    return fit.numbers
