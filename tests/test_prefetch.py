"""Reading runs one chunk ahead of measuring, and neither hides errors nor outlives its use."""

import threading
import time

import pytest
import torch

from harness.chunks import chunk_grid
from harness.images import prefetch
from harness.subject import Preprocessing

PLAIN = Preprocessing(size=(24, 24), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


class Slow:
    """An image set that records what is read and by whom."""

    name = fingerprint = note = ""
    names = left_out = ()
    labels = class_names = None
    classes = 0
    has_boxes = has_masks = False

    def __len__(self):
        return 10

    def __init__(self, breaks_at: int = 99):
        self.read, self.breaks_at = [], breaks_at

    def load(self, positions, preprocessing):
        self.read.append((positions, threading.current_thread().name))
        if positions.start == self.breaks_at:
            raise OSError("disk on fire")
        return torch.tensor(positions).float().view(-1, 1, 1, 1)


def test_prefetching_gives_every_chunk_in_order_and_reads_one_ahead():
    slow, chunks = Slow(), chunk_grid(10, 2)
    for number, (chunk, images) in enumerate(prefetch(slow, chunks, PLAIN)):
        assert chunk == chunks[number]
        assert images.flatten().tolist() == list(chunk)
        time.sleep(0.02)
        assert [read for read, _ in slow.read] == list(chunks[: number + 2])
    assert all(name.startswith("prefetch") for _, name in slow.read)


def test_an_error_while_reading_comes_out_at_its_chunk():
    stream = prefetch(Slow(breaks_at=2), chunk_grid(6, 2), PLAIN)
    assert next(stream)[0] == range(2)
    with pytest.raises(OSError, match="disk on fire"):
        next(stream)


def test_closing_the_stream_ends_its_thread():
    stream = prefetch(Slow(), chunk_grid(6, 2), PLAIN)
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
