"""Seeded procedural scenes with exact instance masks, and queries with exact answers.

    scene = make_scene(7)
    for query in queries(scene, seed=0):
        print(query.text, scene.union(query.answer).sum())

A scene's layout, masks and queries depend on the seed alone, given one version of Pillow, which draws the
outlines; another version may move single pixels at their edges.
"""

from maskpilot.scenes.backgrounds import BACKGROUNDS
from maskpilot.scenes.make import MAX_OBJECTS, SIDES, make_scene
from maskpilot.scenes.plain import every_phrase, find
from maskpilot.scenes.queries import KINDS, queries
from maskpilot.scenes.types import Scene, SceneObject, SceneQuery
from maskpilot.scenes.vocabulary import (
    COLOURS,
    NOUNS,
    ROUND_SHAPES,
    SHAPES,
    SIZES,
    SYNONYMS,
    TEXTURES,
    VOCABULARY,
    Phrase,
    plural,
    read_phrase,
)

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "KINDS",
    "MAX_OBJECTS",
    "NOUNS",
    "ROUND_SHAPES",
    "SHAPES",
    "SIDES",
    "SIZES",
    "SYNONYMS",
    "TEXTURES",
    "VOCABULARY",
    "Phrase",
    "Scene",
    "SceneObject",
    "SceneQuery",
    "every_phrase",
    "find",
    "make_scene",
    "plural",
    "queries",
    "read_phrase",
]
