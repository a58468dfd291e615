"""The metrics of SA-Co: cgF1 = pmF1 x IL_MCC, over (image, noun phrase) pairs.

Source: SAM 3 (arXiv 2511.16719), section on evaluation, and the official code, sam3/eval/cgf1_eval.py of
sam3 0.1.4. The numbers here are those of the official code to the last digit, its small constants
included, and a test holds them side by side; but of two pairings of masks whose IoUs sum to exactly the
same, each may take another. What to know of that code before trusting it:

- Its constants (1e-4 in precision, recall and F1, 1e-6 in IL_MCC) keep a perfect result below 1: 0.99985
  where there is one object, 0.99995 where there are many.
- It takes predictions of unknown pairs, of other sizes and with a score of NaN without a word (they match
  nothing, or are dropped), a pair without predictions as "nothing found", and a box as a mask where the
  mask is missing. `maskpilot.evals.predictions` refuses these, but for the pair without predictions, of
  which `maskpilot score` tells how many there are.
- It counts a predicted mask without a pixel as an instance; here it is none.
- It writes into the predictions while it reads them, and fails where there are several annotators and the
  predictions have no "bbox" (which it does not use otherwise).
- Where no pair is negative, or none positive, IL_MCC is 0 and with it cgF1, whatever was predicted. Here
  both are undefined (None) then, since the data cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.evals.metrics.assignment import best_pairs
from maskpilot.evals.metrics.metric import Metric, Terms
from maskpilot.types import Mask

__all__ = ["CONCEPT_METRICS", "LEVELS", "Counts", "best_counts", "count"]

LEVELS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""IoU from which a pair of masks counts as a hit: .50, .55, ... .95, as pycocotools computes them."""

SMALL, TINY = 1e-4, 1e-6
SOURCE = "SAM 3 (arXiv 2511.16719), sam3/eval/cgf1_eval.py"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many instances were predicted, how many are true, and how many pairs hit at each of LEVELS."""

    predicted: int
    truth: int
    hits: tuple[int, ...] = (0,) * len(LEVELS)

    @property
    def local_f1(self) -> float:
        """F1 of this pair alone, averaged over LEVELS; 1 where nothing is there and nothing was found."""
        if not self.predicted and not self.truth:
            return 1.0
        hits = np.asarray(self.hits, np.float64)
        return float(_f1(hits / (self.predicted + SMALL), hits / (self.truth + SMALL)).mean())


def count(predicted: Sequence[Mask], truth: Sequence[Mask]) -> Counts:
    """Pair instances one to one, once, so that their IoUs sum to the most; then count hits at each level.

    Pairing once is the official way: it does not seek the most hits at any one level.
    """
    if not predicted or not truth:
        return Counts(len(predicted), len(truth))
    overlaps = masks.iou_matrix(predicted, truth)
    found = overlaps[best_pairs(overlaps)]
    hits = tuple(int(np.count_nonzero(found >= level)) for level in LEVELS)
    return Counts(len(predicted), len(truth), hits)


def best_counts(predicted: Sequence[Mask], annotators: Sequence[Sequence[Mask]]) -> Counts:
    """Counts against the annotator whom the prediction fits best: the greatest local F1, ties to the first.

    Agreeing with an annotator that nothing is there counts as perfect. So the official code; it makes even
    the question whether a pair is negative depend on the prediction.
    """
    counts = [count(predicted, truth) for truth in annotators]
    both_empty = [found for found in counts if not found.predicted and not found.truth]
    return both_empty[0] if both_empty else max(counts, key=lambda found: found.local_f1)


def _f1(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> NDArray[np.float64]:
    f1: NDArray[np.float64] = 2 * precision * recall / (precision + recall + SMALL)
    return f1


def _terms(values: Mapping[str, Any]) -> Terms | None:
    """Right and wrong answers to "is it there at all", then the counts of the positive pairs."""
    if "hits" not in values:
        return None
    there, found = values["truth_count"] > 0, values["predicted_count"] > 0
    presence = (there and found, found and not there, there and not found, not there and not found)
    in_positives = (values["predicted_count"], values["truth_count"]) if there else (0, 0)
    return (*map(float, presence), *map(float, in_positives), *map(float, values["hits"]))


def _il_mcc(sums: Sequence[float]) -> float | None:
    """Matthews' correlation of "predicted anything" with "there is something", in [-1, 1]."""
    tp, fp, fn, tn = sums[:4]
    if not tp + fn or not tn + fp:
        return None
    spread = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return float((tp * tn - fp * fn) / (spread**0.5 + TINY))


def _pmf1(sums: Sequence[float]) -> float | None:
    """F1 over all instances of all positive pairs together (micro), averaged over LEVELS."""
    predicted, truth = sums[4:6]
    if not truth:
        return None
    hits = np.asarray(sums[6:], np.float64)
    return float(_f1(hits / (predicted + SMALL), hits / (truth + SMALL)).mean())


def _cgf1(sums: Sequence[float]) -> float | None:
    presence, instances = _il_mcc(sums), _pmf1(sums)
    return None if presence is None or instances is None else presence * instances


CONCEPT_METRICS: tuple[Metric, ...] = (
    Metric(name="cgf1", title="cgF1", source=SOURCE, terms=_terms, finish=_cgf1),
    Metric(name="pmf1", title="pmF1", source=SOURCE, terms=_terms, finish=_pmf1),
    Metric(name="il_mcc", title="IL_MCC", source=SOURCE, terms=_terms, finish=_il_mcc),
)
