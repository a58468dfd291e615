"""Test doubles as shipped code: an OpenAI-compatible server that answers as told, and fails as told."""

from maskpilot.testing.faults import FaultMix
from maskpilot.testing.says import Answer, Says, Spoilt
from maskpilot.testing.server import FaultyServer, Seen

__all__ = ["Answer", "FaultMix", "FaultyServer", "Says", "Seen", "Spoilt"]
