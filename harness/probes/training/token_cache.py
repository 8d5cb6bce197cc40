"""Tokens at the input of some blocks for all training images: reached once, read in any order by every readout."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from harness.errors import ClaimsError
from harness.models.subject import Stream
from harness.probes.training.linear import Advance, Training

MEMORY_BYTES = 4 * 2**30  # fp32 in memory; what does not fit goes to disk as fp16
DISK_BYTES = 128 * 2**30


class TokenCache:
    """Streams that enter some blocks, image by image; on disk where memory is too small for one block.

    Raises ClaimsError where the disk budget is too small as well.
    """

    def __init__(self, training: Training, blocks: Sequence[int], images: int, folder: Path | None) -> None:
        self.training, self.blocks, self.images = training, tuple(blocks), images
        card = training.subject.card
        shape = (images, len(card.prefix) + card.patches, card.width)
        held = int(np.prod(shape)) * len(blocks)
        if 2 * held > DISK_BYTES:
            raise ClaimsError(
                f"tokens {list(shape)} at the input of {len(blocks)} blocks take {2 * held / 2**30:.0f} GiB as fp16; "
                f"allowed: {DISK_BYTES / 2**30:.0f} GiB. State fewer `images` in the recipe"
            )
        self._scratch: TemporaryDirectory | None = None
        self._frame: Stream | None = None
        if 4 * held <= MEMORY_BYTES:
            self._tokens: dict[int, np.ndarray] = {block: np.empty(shape, dtype=np.float32) for block in blocks}
            return
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._scratch = TemporaryDirectory(dir=folder, prefix="tokens-")
        self._tokens = {
            block: np.memmap(f"{self._scratch.name}/{block}", dtype=np.float16, mode="w+", shape=shape)
            for block in blocks
        }

    def fill(self, advance: Advance) -> None:
        """Run all images up to the last of the blocks, once."""
        subject, images = self.training.subject, self.training.images
        for chunk in self.training.chunks:
            if chunk.start >= self.images:
                break
            stop = min(chunk.stop, self.images)
            stream = subject.start(images.load(chunk, subject.card.preprocessing))
            for block in range(max(self.blocks) + 1):
                if block in self._tokens:
                    self._tokens[block][chunk.start : stop] = stream.tokens[: stop - chunk.start].float().cpu().numpy()
                if block < max(self.blocks):
                    stream = subject.step(block, stream)
            self._frame = Stream(stream.tokens[:0], stream.extra)
            advance("training images", stop, self.images)

    def stream(self, block: int, rows: np.ndarray) -> Stream:
        """Give the stream that enters a block for some images, on the device and in the dtype of the model."""
        tokens = torch.from_numpy(np.asarray(self._tokens[block][rows]))
        return self._filled.with_tokens(tokens.to(self._filled.tokens))

    @property
    def device(self) -> torch.device:
        """Name the device of the model."""
        return self._filled.tokens.device

    @property
    def _filled(self) -> Stream:
        assert self._frame is not None, "the cache is filled before it is read"
        return self._frame

    def close(self) -> None:
        """Delete what is on disk."""
        self._tokens = {}
        if self._scratch is not None:
            self._scratch.cleanup()


def cache_groups(blocks: Sequence[int], training: Training, images: int) -> Iterator[list[int]]:
    """Cut blocks into runs whose tokens are in memory together; a block too large for it is alone."""
    card = training.subject.card
    one = 4 * images * (len(card.prefix) + card.patches) * card.width
    together = max(1, MEMORY_BYTES // one)
    for start in range(0, len(blocks), together):
        yield list(blocks[start : start + together])
