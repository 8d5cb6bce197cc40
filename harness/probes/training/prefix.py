"""Fitting the moments of prefix tokens: one pass over the training pictures."""

import torch

from harness.errors import ClaimsError
from harness.probes.prefix_moments import PrefixFit
from harness.probes.training.linear import Advance, Training


@torch.inference_mode()
def fit_moments(training: Training, advance: Advance) -> PrefixFit:
    """Add up every prefix token where it enters each block; raises ClaimsError for models without prefix tokens."""
    subject, card = training.subject, training.subject.card
    prefix, total = len(card.prefix), len(training.images)
    if not prefix:
        raise ClaimsError(f"{card.name!r} has no prefix tokens whose mean could be taken")
    sums = torch.zeros(2, card.depth, prefix, card.width, dtype=torch.float64)
    for positions in training.chunks:
        stream = subject.start(training.images.load(positions, card.preprocessing))
        for block in range(card.depth):
            tokens = stream.tokens[:, :prefix].double().cpu()
            sums[:, block] += torch.stack((tokens.sum(dim=0), tokens.square().sum(dim=0)))
            if block < card.depth - 1:
                stream = subject.step(block, stream)
        advance("training images", positions.stop, total)
    mean, square = sums / total
    return PrefixFit(mean=mean.float(), std=(square - mean.square()).clamp(min=0).sqrt().float())
