"""The tree of everything that one pass measures: a branch for each distinct beginning of a program.

Walking it depth first runs every distinct beginning once; who pays for a block is who wants something behind it.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.interventions.intervention import NONE, Edit, Intervention, Mask, Start
from harness.interventions.patch_scores import Score, score_of
from harness.interventions.slots import BlockEdit
from harness.models.sites import Site
from harness.models.subject import ModelCard
from harness.readouts.readout import Readout, block_of


@dataclass(frozen=True, kw_only=True)
class Request:
    """One measurement to make in this pass: what is edited, what is read, and who wants it (for the bill)."""

    intervention: Intervention
    readout: Readout
    claimants: frozenset[Hashable]


@dataclass
class Node:
    """A state of the stream: reached through a block (as it is, or as its slot says) and an edit, at first embedded."""

    branches: dict[Mask | BlockEdit | Start | None, dict[Edit | None, "Node"]] = field(default_factory=dict)
    readers: list[int] = field(default_factory=list)
    claimants: set[Hashable] = field(default_factory=set)
    sites: set[Site] = field(default_factory=set)  # what its readers read within the block that leads to it


@dataclass
class Bill:
    """Block evaluations times images, by claimant: shared blocks are split evenly among those who want them."""

    shares: dict[Hashable, float] = field(default_factory=dict)
    total: float = 0.0

    def charge(self, claimants: set[Hashable], evaluations: float) -> None:
        """Split one cost."""
        self.total += evaluations
        for claimant in claimants:
            self.shares[claimant] = self.shares.get(claimant, 0.0) + evaluations / len(claimants)

    def add(self, other: "Bill") -> None:
        """Add another bill to this one."""
        self.total += other.total
        for claimant, share in other.shares.items():
            self.shares[claimant] = self.shares.get(claimant, 0.0) + share


def program_tree(wanted: Sequence[Request], card: ModelCard) -> Node:
    """Merge the programs of all wanted measurements: a branch for each distinct prefix, readers where they read."""
    root = Node()
    for index, one in enumerate(wanted):
        node = _grow(root, one.intervention, block_of(one.readout, card), one.claimants, card)
        node.readers.append(index)
        node.sites.update(one.readout.sites)
    for one in wanted:
        if one.readout.needs_clean:
            clean = _grow(root, NONE, card.depth - 1, one.claimants, card)
            clean.sites.update(one.readout.sites)
    return root


def _grow(root: Node, intervention: Intervention, last: int, claimants: frozenset[Hashable], card: ModelCard) -> Node:
    """Follow a program through the tree up to block `last`, making what is not there."""
    node = root
    for mask, edit in intervention.program(card)[: last + 2]:
        node = node.branches.setdefault(mask, {}).setdefault(edit, Node())
        node.claimants |= claimants
    return node


def claimants_of(children: Mapping[Edit | None, Node]) -> set[Hashable]:
    """Join who wants anything behind a block."""
    return set().union(*(child.claimants for child in children.values()))


def sites_of(children: Mapping[Edit | None, Node]) -> tuple[Site, ...]:
    """Join what is read within a block, in a fixed order."""
    return tuple(sorted(set().union(*(child.sites for child in children.values()))))


def scores_in(children: Mapping[Edit | None, Node]) -> dict[Score, set[Hashable]]:
    """List the scores that edits anywhere behind a start ask for, each with all who want it."""
    found: dict[Score, set[Hashable]] = {}
    for edit, child in children.items():
        if score := score_of(edit):
            found.setdefault(score, set()).update(child.claimants)
        for branch in child.branches.values():
            for score, claimants in scores_in(branch).items():
                found.setdefault(score, set()).update(claimants)
    return found
