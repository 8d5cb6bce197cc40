"""Keeps what a run finds: every record in the history, with the outcomes per image behind it."""

import shlex
import sys
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.judging.ledger import SMALLEST_CHANGE
from harness.results.accepted_outcomes import AcceptedClaim
from harness.results.database import FILE_NAME
from harness.results.history import History
from harness.results.record import IMAGES, RunRecord

if TYPE_CHECKING:  # reading outcomes back needs no model library
    from harness.images.open import ImageSet
    from harness.results.measurements import Store


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What is told of the pictures of a run after they are gone: see `ImageSet`; `audit` is empty for embedded ones."""

    name: str
    fingerprint: str
    names: tuple[str, ...]
    left_out: tuple[str, ...]
    audit: str = ""

    @classmethod
    def of(cls, images: "ImageSet") -> "Opened":
        """Copy it from a set of pictures."""
        return cls(
            name=images.name,
            fingerprint=images.fingerprint,
            names=tuple(images.names),
            left_out=images.left_out,
            audit=getattr(images, "audit", ""),
        )


class Recorder:
    """Gives the run its id and writes its records; `folder` None writes nothing.

    `run` is the id that the workers of one run share; a run in one process has its own.
    """

    def __init__(self, folder: Path | None, run: str | None = None) -> None:
        self.run = run or uuid.uuid4().hex
        self._folder = folder
        self._history: History | None = None  # opened at the first record: a run that is refused leaves no trace
        self._named: set[str] = set()

    def keep(self, record: RunRecord, store: "Store", images: Opened) -> None:
        """Write one record, with the numbers that it was judged on where the store is not that of the history."""
        if self._folder is None:
            return
        self._history = self._history or History(self._folder)
        if images.fingerprint not in self._named:
            self._history.keep_names(images.fingerprint, images.names)
            self._named.add(images.fingerprint)
        command, arms = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]), record.arms
        if store.folder == self._folder:
            self._history.keep(record, command=command)
            return
        numbers = {name: store.numbers(identifier, record.images_of(name)) for name, identifier in arms.items()}
        keys = {identifier: store.key(identifier) for identifier in arms.values()}
        self._history.keep(record, numbers, keys, command)

    def seeds(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """Give the seeds that the history knows of every claim on every model, those of this run included."""
        if self._folder is None or not (self._folder / FILE_NAME).exists():
            return {}
        history = History(self._folder)
        try:
            return history.seeds()
        finally:
            history.close()

    def verdicts_before(self) -> dict[tuple[str, str], str]:
        """Give the last verdicts by (claim, model) that the history has from before this run."""
        if self._folder is None or not (self._folder / FILE_NAME).exists():
            return {}
        history = History(self._folder)
        try:
            return history.verdicts(before=self.run)
        finally:
            history.close()

    def close(self) -> None:
        """Close the history."""
        if self._history is not None:
            self._history.close()


def outcomes_of(history: History, records: Iterable[RunRecord]) -> dict[tuple[str, str], AcceptedClaim]:
    """Collect the outcomes behind records by (model, claim), leaving out claims that measured nothing."""
    found = {}
    for record in records:
        arms = history.outcomes(record.run, record.model, record.claim)
        if arms:
            images = record.context.image_fingerprint
            if record.what != IMAGES:  # members are not named as pictures are
                images = f"{record.what} beside {images}"
            found[record.model, record.claim] = AcceptedClaim(
                images=images,
                arms=arms,
                exchanged=record.pairs is not None,
                smallest_change=SMALLEST_CHANGE if record.smallest_change is None else record.smallest_change,
            )
    return found
