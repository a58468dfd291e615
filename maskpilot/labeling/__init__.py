"""Folders in, data sets out: every image of a folder labeled with a set of classes, unattended."""
