"""What can be fitted on training images before it is read, and what comes of it."""

from harness.probes import Fit, Probe

Fittable = Probe
Fitted = Fit
