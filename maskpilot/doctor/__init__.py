"""Whether this machine and a model's endpoint are fit for the work: a table of rows, each ok or with its fix.

`machine` looks at what is installed, `endpoint` asks the model; `scoring` finds out how it counts
coordinates. Nothing here raises for what an endpoint does.
"""

from maskpilot.doctor.endpoint import CHECKS, Found, examine_endpoint, skipped
from maskpilot.doctor.machine import examine_machine
from maskpilot.doctor.rows import Health, Row
from maskpilot.doctor.scoring import Ranking, Score

__all__ = [
    "CHECKS",
    "Found",
    "Health",
    "Ranking",
    "Row",
    "Score",
    "examine_endpoint",
    "examine_machine",
    "skipped",
]
