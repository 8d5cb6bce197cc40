"""Everything that a claim file needs, by name; `harness` itself hands these names out at the first use of one.

    from harness import Arm, Plan, claim, every, Holds, isolate_cls, level, ratio

A claim maps a model card to a plan. A plan has arms (what is edited, what is read), statements about their means, a
control that must fail, and curves for the report.
"""

from harness.errors import ClaimsError, NotApplicable
from harness.interventions.attention_masks import blind_to_cls, keep_patches, self_only
from harness.interventions.block_edits import branches_of, drop_skips, drop_writes, like_blocks, skip_blocks
from harness.interventions.hues import TurnHue
from harness.interventions.intervention import (
    NONE,
    Edit,
    Intervention,
    Mask,
    PixelEdit,
    cls_alone,
    isolate_cls,
    isolate_cls_with_noise,
    shuffle_cls,
)
from harness.interventions.occlusion import BlackSquares
from harness.interventions.patch_scores import RandomOrder
from harness.interventions.pixel_filters import HighPass, LowPass, PhaseNoise, ShufflePatches
from harness.interventions.pixels import FillBackground, FillObject
from harness.interventions.relevance import CheferRelevance, ClassRelevance
from harness.interventions.tilings import own_squares, shared_grid, shuffle_squares, squares_shown
from harness.interventions.token_merging import merge_tokens, merges_per_block
from harness.interventions.token_removal import keep_patches_by
from harness.interventions.token_replacement import replace_tokens, zero_patches
from harness.judging.chance_levels import KEPT, chance_of_meeting, largest_cosine
from harness.judging.curve_statements import Rises, Shape
from harness.judging.derived_arms import Covaries, Exceeds, Largest, OfNeighbour, Product, Same
from harness.judging.retention_gap import Retention, gap_kept
from harness.judging.statements import AtLeast, Holds, every, most, some
from harness.judging.verdict import Verdict
from harness.measurement.ledger_power import BudgetShare, CheckedShare, ClaimsFolder, LeastShare
from harness.measurement.plan import Arm, Plan, claim, curve, difference, level, mean_of, mix, ratio
from harness.models.contract import SubjectCheck, subject_checks
from harness.models.subject import ModelCard, Stream, Subject
from harness.probes.learned_token import Recipe as TrainingRecipe
from harness.probes.learned_token import TokenReadout
from harness.probes.probe import Probe
from harness.probes.register_units import RegisterUnits
from harness.readouts.attention_overlap import AttentionOverlap
from harness.readouts.autoencoders import SWEEP as AUTOENCODER_SWEEP
from harness.readouts.autoencoders import AutoencoderNumber
from harness.readouts.causality import SameClassToken
from harness.readouts.cue_decisions import DecidesFor
from harness.readouts.defaults import (
    appends_patch_mean,
    class_readout,
    final_readout,
    published_as,
    refuse_pooled,
    refuse_shallow,
)
from harness.readouts.features import FeatureCorrelation
from harness.readouts.featvis.optimize import SMALL
from harness.readouts.featvis.optimize import Recipe as OptimizationRecipe
from harness.readouts.featvis.readouts import DrivesUnit, HighFrequency, IsSpecific, Transfers
from harness.readouts.inversion.colours import ColourShifted, ShiftKept
from harness.readouts.inversion.errors import ErrorRise, PictureError
from harness.readouts.inversion.projection import ProjectionError
from harness.readouts.inversion.reconstruction import refuse_untiled
from harness.readouts.inversion.shapes import DetailError, ShapeOverlap
from harness.readouts.inversion.swaps import SwappedError
from harness.readouts.keys import KeyValueAgreement, MemoryMatch
from harness.readouts.learned_tokens import LearnedAccuracy, LearnedEntropy, LearnedTogether, LearnedUnanimity
from harness.readouts.linear_probes import ProbeAccuracy, ProbeEntropy, ProbePatchAccuracy, ProbeTokenScore
from harness.readouts.locality import ModelAccuracy, PatchCosine, PatchHead, WithinShare
from harness.readouts.massive import HasFirstMassive, HasMassive, LargestEntry, ShareInChannel, WithMassive
from harness.readouts.members import Batches, Fits, TheModel, TrainBatches
from harness.readouts.neural_collapse import NeuralCollapse
from harness.readouts.objects import AttentionLead, HasBoth, RegionAccuracy, RegionIdentifiability
from harness.readouts.own_answer import (
    Accuracy,
    Agreement,
    CrossEntropy,
    Identifiability,
    PatchAccuracy,
    SameLogits,
    TopAccuracy,
    usual_count,
)
from harness.readouts.patches import (
    AnyPatchRight,
    PatchIdentifiability,
    PatchRise,
    PatchSampleAccuracy,
    affordable_patches,
)
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout
from harness.readouts.register_units import OutliersLeft, WithUnits
from harness.readouts.saliency import RankKept, SameMap, saliencies
from harness.readouts.spectrum import SpectrumChange
from harness.readouts.spread import TokenSpread
from harness.readouts.token_norms import HasOutliers, LargestNorm, OutlierShare, RedundancyOfOutliers
from harness.readouts.units.attributes import BestUnits
from harness.readouts.units.members import UnitsOf, UnitsOfEachBlock
from harness.readouts.units.selectivity import BackgroundUnits, DistinctTop, ObjectArea, Purity
from harness.readouts.units.tolerance import Elsewhere, Kept
from harness.readouts.value_vectors import ClassPurity, ClassValueAgreement, GoldenDistance, GoldenVectors
from harness.readouts.weight_ranks import RankShare, ranks_by_block
from harness.readouts.writes import Composition, WriteAccuracy, WriteRaises
from harness.running.notebook import run
