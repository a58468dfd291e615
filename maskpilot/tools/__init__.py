"""What the model can call: state, actions, schemas, and the parsing of calls."""

from maskpilot.tools.actions import TOOLS, Outcome
from maskpilot.tools.parsing import apply_call, rating_of
from maskpilot.tools.schema import CORE, FULL, PHRASES, TOOL_SETS, ToolSpec, tool_spec
from maskpilot.tools.state import Roster, SessionState, refresh

__all__ = [
    "CORE",
    "FULL",
    "PHRASES",
    "TOOLS",
    "TOOL_SETS",
    "Outcome",
    "Roster",
    "SessionState",
    "ToolSpec",
    "apply_call",
    "rating_of",
    "refresh",
    "tool_spec",
]
