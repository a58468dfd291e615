"""Metrics, each with its official definition: `measure` a sample, then `METRICS[name].aggregate` many.

values = [measure(result, truth, size) for ...]
METRICS["giou"].aggregate(values)
"""

from collections.abc import Mapping
from types import MappingProxyType

from maskpilot.evals.metrics.boundary import BOUNDARY_METRICS
from maskpilot.evals.metrics.concepts import CONCEPT_METRICS, LEVELS
from maskpilot.evals.metrics.measure import measure
from maskpilot.evals.metrics.metric import Metric
from maskpilot.evals.metrics.precision import PRECISION_METRICS
from maskpilot.evals.metrics.regions import REGION_METRICS

__all__ = ["LEVELS", "METRICS", "Metric", "measure"]

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (*REGION_METRICS, *CONCEPT_METRICS, *PRECISION_METRICS, *BOUNDARY_METRICS)
    }
)
