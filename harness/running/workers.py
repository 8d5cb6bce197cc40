"""Models measured side by side, in processes of their own.

A small model leaves most of a processor idle that its operations share: two models in two processes of one thread take
little more time than one. Each group of models (one, or those that a claim compares) is measured by one process, into
the store of the run, and its records come back; what a process could not do is done where it is asked for.
"""

import inspect
import math
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from harness.judging.discovery import Claim, load_file
from harness.judging.ledger import ClaimSpec
from harness.results.record import RunRecord
from harness.results.recorder import Opened
from harness.running.options import RunOptions
from harness.running.session import Session
from harness.running.threads import processors
from harness.running.worker_life import begin, no_main_module

MOST = 8  # processes that are started unasked: each holds the model libraries and a model
LOOK_EVERY = 0.2  # seconds between two looks at a process that is waited for


@dataclass(frozen=True, kw_only=True)
class WorkItem:
    """What one process is to measure: claims of one group of models, each by its entry, its file and its function."""

    options: RunOptions
    run: str
    models: str
    claims: tuple[tuple[ClaimSpec, Path, str], ...]


@dataclass(frozen=True, kw_only=True)
class WorkResult:
    """What a process found: records by claim id, notes for the reader, and the pictures that it measured on."""

    records: Mapping[str, RunRecord] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    opened: Opened | None = None


def crew_size(options: RunOptions) -> int:
    """Say how many processes measure: as many as asked for, or one per processor for the embedded zoo, else one.

    Models that are named are likely large: these use all processors one after the other, and need memory.
    """
    if options.jobs is not None:
        return options.jobs
    return 1 if options.models or options.device != "cpu" else min(processors(), MOST)


class WorkerPool:
    """Measures groups of models, ahead of the tests that ask for them where `size` allows more than one process.

    Groups of several models start when the first of them is asked for, so that they find what was measured of each
    model alone.
    """

    def __init__(self, session: Session, groups: Mapping[str, Sequence[Claim]], size: int, merge: bool = True) -> None:
        self.session, self.groups, self.merge = session, groups, merge
        self.size = min(size, len(groups))
        session.groups_ahead = sum(models in session.cohorts for models in groups)  # others fit no models
        self._pool: ProcessPoolExecutor | None = None
        self._life: Connection | None = None  # open as long as this process lives
        self._processes: set[BaseProcess] = set()
        self._running: dict[str, Future[WorkResult]] = {}
        self._delivered: dict[str, WorkResult] = {}

    def record(self, models: str, asked: Claim) -> RunRecord:
        """Give the record of a claim; it is measured here where no process could.

        Raises what measuring this claim raises.
        """
        if self.size <= 1:
            return self.session.record(models, asked, self.groups[models], self.merge)
        if models not in self._delivered:
            if models not in self._running:
                self._order(alone=self._alone(models))
            self._delivered[models] = self._await(models)
        records = self._delivered[models].records
        if asked.spec.id in records:
            return records[asked.spec.id]
        return self.session.record(models, asked, self.groups[models], merge=not records)

    def close(self) -> None:
        """End the processes, also in the middle of their work; what they stored stays."""
        if self._pool is None or self._life is None:
            return
        try:
            if not all(order.done() for order in self._running.values()):
                self._kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
        except KeyboardInterrupt:  # while idle processes say goodbye: the run is over anyway
            self._kill()
        self._life.close()

    @property
    def _minutes(self) -> float | None:
        """Give the time that a process has for a group: they work side by side, one group after the other."""
        if self.session.options.minutes is None:
            return None
        waiting = len(self.groups) - len(self._running)
        return self.session.clock.share(math.ceil(waiting / self.size)).left / 60.0

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()

    def _alone(self, models: str) -> bool:
        return len(self.session.cohorts[models].roles) == 1

    def _order(self, alone: bool) -> None:
        """Start on all groups of one model, or on all groups of several."""
        if self._pool is None:
            threads = max(1, min(torch.get_num_threads(), processors() // self.size))
            spawn = multiprocessing.get_context("spawn")
            seen, self._life = spawn.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(self.size, spawn, initializer=begin, initargs=(threads, seen))
        options = replace(self.session.options, cache=self.session.store.folder, history=None, minutes=self._minutes)
        for models, claims in self.groups.items():
            if models in self.session.cohorts and self._alone(models) == alone:
                order = WorkItem(
                    options=options,
                    run=self.session.recorder.run,
                    models=models,
                    claims=tuple((one.spec, Path(inspect.getfile(one.function)), _name(one)) for one in claims),
                )
                others = {*multiprocessing.active_children()} - self._processes
                with no_main_module():
                    self._running[models] = self._pool.submit(carry_out, order)
                self._processes |= {*multiprocessing.active_children()} - others

    def _await(self, models: str) -> WorkResult:
        """Wait for a group; an empty delivery where its process failed, so that its claims are measured here."""
        order = self._running[models]
        while not wait([order], timeout=LOOK_EVERY).done:
            done = sum(one.done() for one in self._running.values())
            self.session.advance("groups of models", done, len(self._running))
        if (error := order.exception()) is not None:
            self.session.remarks.append(f"{models}: measured in the process of the run; its own ended with {error!r}")
            return WorkResult()
        delivery = order.result()
        self.session.remarks += delivery.notes
        if delivery.opened is not None:
            self.session.opened[models] = delivery.opened
        for record in delivery.records.values():
            if record.asked and self.session.fell is not None:
                self.session.fell(record)
        return delivery


def carry_out(order: WorkItem) -> WorkResult:
    """Measure one group of models; a claim that raises is left out, to raise again where it is asked for."""
    session = Session(order.options, run=order.run)
    try:
        asked = [
            Claim(spec=spec, function=getattr(load_file(path), name), path=path) for spec, path, name in order.claims
        ]
        for one in asked:
            session.cards_for(one.spec)
        records = session.records(order.models, asked)
        return WorkResult(records=records, notes=tuple(session.notes()), opened=session.opened.get(order.models))
    finally:
        session.close()


def _name(asked: Claim) -> str:
    return str(asked.function.__name__)  # type: ignore[attr-defined]
