"""Annotation files that others made, read with care: JSON records, outlines, run lengths, COCO's format."""
