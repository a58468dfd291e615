"""Labeling on a Ray cluster: the same function an image, with the segmenters apart from the sessions.

`ray` and `pyarrow` come with the extra `maskpilot[ray]` and are imported in this package alone.
"""
