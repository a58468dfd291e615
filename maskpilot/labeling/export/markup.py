"""What the XML of labeling tools takes."""

from __future__ import annotations

import re

from maskpilot.render.palette import colour

__all__ = ["hex_colour", "xml_text"]

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What the specification of XML 1.0 leaves out (2.2, Char), also when it is escaped."""


def xml_text(words: str) -> str:
    """Words without the characters that no XML can hold; whoever writes them still has to escape them."""
    return NO_XML.sub("\ufffd", words)


def hex_colour(number: int) -> str:
    """The colour of the class of a number, from 0: "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*colour(number + 1))
