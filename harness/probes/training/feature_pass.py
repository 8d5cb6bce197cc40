"""One pass over training images for the features of all probes: exchanged streams fork off the unedited one.

Probes for every block and every block after which class tokens are exchanged cost (1 + (depth - 1) / 2) forward
passes per image, since each fork runs only the blocks after it.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch

from harness.images.batch import Batch, ShuffleClass
from harness.models.sites import EMBEDDING
from harness.models.subject import Stream, Subject
from harness.probes.probe import Reads, features, written

Found = dict[Reads, np.ndarray]


class FeaturePass:
    """Reads features [image, feature] chunk by chunk, fp32."""

    def __init__(self, subject: Subject, wanted: Iterable[Reads]) -> None:
        self.subject = subject
        self._wanted: dict[int | None, dict[int, list[Reads]]] = defaultdict(lambda: defaultdict(list))
        for reads in wanted:
            self._wanted[reads.after][reads.layer].append(reads)
        self._forks = sorted(after for after in self._wanted if after is not None)
        self._last = {after: max(layers) for after, layers in self._wanted.items()}
        self._last[None] = max([self._last.get(None, EMBEDDING), *self._forks])

    def evaluations(self) -> int:
        """Count the blocks that one image costs, writes apart."""
        return sum(last - (EMBEDDING if after is None else after) for after, last in self._last.items())

    def read(self, images: torch.Tensor, chunk: Batch) -> Found:
        """Read everything that is wanted from one chunk of pictures."""
        found: Found = {}
        with torch.inference_mode():
            self._follow(None, self.subject.start(images), EMBEDDING, chunk, found)
        return found

    def _follow(self, after: int | None, stream: Stream, block: int, chunk: Batch, found: Found) -> None:
        """Run one stream from after `block` to the last block that is read of it."""
        while True:
            resid = [reads for reads in self._wanted[after][block] if reads.stream == "resid"]
            self._keep(resid, stream, found)
            if after is None and block in self._forks:
                edited = ShuffleClass().apply(stream.tokens, self.subject.card, chunk)
                self._follow(block, stream.with_tokens(edited), block, chunk, found)
            if block == self._last[after]:
                return
            before, block = stream, block + 1
            stream = self.subject.step(block, before)
            for site in ("attention write", "mlp write"):
                if reading := [reads for reads in self._wanted[after][block] if reads.stream == site]:
                    self._keep(reading, written(site, self.subject, block, before), found)

    def _keep(self, reading: list[Reads], stream: Stream, found: Found) -> None:
        for reads in reading:
            found[reads] = features(reads, self.subject, stream).cpu().numpy()
