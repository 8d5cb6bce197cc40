"""What linear probes tell: whether they are right, shares of patches, entropies, and scores of single tokens."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.models.sites import EMBEDDING
from harness.models.subject import Stream, Subject
from harness.probes.fittable import Fittable, Fitted, linear_fit
from harness.probes.probe import Probe, at_patches, entropies, features, probe_inputs, written
from harness.readouts.reading import Reading, ranks
from harness.readouts.readout import StreamReadout


@dataclass(frozen=True, kw_only=True)
class ProbePatchAccuracy(StreamReadout):
    """Share of patch tokens on which the probe of that very token ranks the label first.

    `probe` is that of any one token and stands for those of all `patches` tokens, or of those at `places` alone.
    """

    probe: Probe
    patches: int
    places: tuple[int, ...] = ()
    low = 0.0
    high = 1.0

    @property
    def fits(self) -> tuple[Probe, ...]:
        """Name the probes, one per patch token that is read."""
        return at_patches(self.probe, self._read)

    @property
    def layer(self) -> int:
        """Give the block after which it stands."""
        return self.probe.read_after

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        labels, probes = reading.labels("own"), dict(zip(self._read, self.fits, strict=True))
        return (patch_ranks(probes, reading.subject, reading.stream, reading.fits, labels) == 0).float().mean(dim=1)

    @property
    def _read(self) -> tuple[int, ...]:
        return self.places or tuple(range(self.patches))


@dataclass(frozen=True, kw_only=True)
class ProbeEntropy(StreamReadout):
    """Entropy of the softmax over the scores of a probe, in nats, at most log(classes).

    Scores of ridge probes lie within about one of each other, so that their entropy says nothing: the control.
    """

    probe: Probe
    classes: int
    low = 0.0

    @property
    def high(self) -> float:
        """Give the entropy of guessing."""
        return math.log(self.classes)

    @property
    def fits(self) -> tuple[Probe, ...]:
        """Name the probe."""
        return (self.probe,)

    @property
    def layer(self) -> int:
        """Give the block after which it stands."""
        return self.probe.read_after

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        fit = linear_fit(reading.fits, self.probe)
        return entropies(fit.scores(probe_inputs(self.probe, reading.subject, reading.stream)), self.classes)


@dataclass(frozen=True, kw_only=True)
class ProbeTokenScore:
    """How well the label is read from each patch token: minus the ranks by that token's own probes, over `layers`.

    `probe` stands for those of all `layers` and `patches`; what it says of them is shared, as `labels`. Where fits are
    dear, `read_by` says for every patch which one's probe reads it (empty: its own). A score of tokens by which they
    can be removed in order: catalogue ce C26, after Vilas et al. 2023.
    """

    probe: Probe
    layers: tuple[int, ...]
    patches: int
    read_by: tuple[int, ...] = ()
    passes = 1
    needs_labels = True
    exchanges = False

    @property
    def fits(self) -> tuple[Probe, ...]:
        """Name the probes of all blocks and patch tokens, each once."""
        return tuple(dict.fromkeys(probe for layer in self.layers for probe in self._at(layer).values()))

    def compute(
        self, subject: Subject, images: Tensor, chunk: Batch, fits: Mapping[Fittable, Fitted]
    ) -> Float[Tensor, "image patch"]:
        """Score the patch tokens of preprocessed pictures; `fits` holds at least those that `self.fits` names.

        Raises ClaimsError without labels.
        """
        if chunk.labels is None:
            raise ClaimsError("a score of tokens by the rank of the label needs labels, but the image set has none")
        with torch.inference_mode():
            stream, found = subject.start(images), {}
            for block in range(EMBEDDING, max(self.layers) + 1):
                before = stream
                if block > EMBEDDING:
                    stream = subject.step(block, before)
                if block in self.layers:
                    from_here = stream if self.probe.stream == "resid" else before
                    found[block] = patch_ranks(self._at(block), subject, from_here, fits, chunk.labels)
            return probe_token_scores(found.values())

    def _at(self, layer: int) -> dict[int, Probe]:
        probes = at_patches(replace(self.probe, layer=layer), self.read_by or range(self.patches))
        return dict(enumerate(probes))


@dataclass(frozen=True, kw_only=True)
class ProbeAccuracy(StreamReadout):
    """1 where a ridge probe fitted on training images ranks the label first, else 0.

    `only_class` zeroes the patch-mean half of a "class+patch mean" probe after the fit (no refit), as the source does.
    """

    probe: Probe
    only_class: bool = False
    low = 0.0
    high = 1.0

    @property
    def fits(self) -> tuple[Probe, ...]:
        """Name the probe."""
        return (self.probe,)

    @property
    def layer(self) -> int:
        """Give the block after which it stands: before the block whose write the probe reads."""
        return self.probe.read_after

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        fit, inputs = linear_fit(reading.fits, self.probe), probe_inputs(self.probe, reading.subject, reading.stream)
        if self.only_class:
            inputs = inputs.clone()
            inputs[:, reading.card.width :] = 0.0
        return (ranks(fit.scores(inputs), reading.labels("own")) == 0).float()


def probe_token_scores(found: Iterable[Int[Tensor, "image patch"]]) -> Float[Tensor, "image patch"]:
    """Sum ranks of the label over blocks and negate: high where the label is read well."""
    return -torch.stack([*found]).sum(dim=0).float()


def patch_ranks(
    probes: Mapping[int, Probe],
    subject: Subject,
    stream: Stream,
    fits: Mapping[Fittable, Fitted],
    labels: Int[Tensor, "image"],
) -> Int[Tensor, "image patch"]:
    """Rank the label on patch tokens, each by the probe that is to read it; `stream` as after `read_after`."""
    first = next(iter(probes.values()))
    if first.stream != "resid":
        stream = written(first.stream, subject, first.layer, stream)
    return torch.stack(
        [
            ranks(linear_fit(fits, probe).scores(features(replace(probe, position=place), subject, stream)), labels)
            for place, probe in probes.items()
        ],
        dim=1,
    )
