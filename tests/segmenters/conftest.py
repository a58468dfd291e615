"""These tests import sam3 themselves, so it is made importable first."""

from __future__ import annotations

from maskpilot.segmenters import compat

compat.prepare_import()
