"""Which colour belongs to which id."""

import numpy as np

from maskpilot.render.palette import BLACK, NEGATIVE, POSITIVE, WHITE, colour, ink, oklab

IDS = range(1, 201)
LAB = oklab(np.array([colour(number) for number in IDS]))
DISTANCES = np.linalg.norm(LAB[:, None] - LAB, axis=2)


def test_two_hundred_ids_have_two_hundred_colours() -> None:
    assert len({colour(number) for number in IDS}) == 200


def test_any_twenty_consecutive_ids_are_far_apart_in_oklab() -> None:
    first, second = np.indices(DISTANCES.shape)
    near = (first != second) & (abs(first - second) < 20)
    # 0.12 is the distance of pure red to a strong orange; 0.02 is about the least that can be seen.
    assert DISTANCES[near].min() > 0.12


def test_the_first_eight_are_farther_apart_still() -> None:
    first_eight = DISTANCES[:8, :8] + np.eye(8)
    assert first_eight.min() > 0.2


def test_no_mask_looks_like_a_prompt_box() -> None:
    for prompt in oklab(np.array([POSITIVE, NEGATIVE])):
        assert np.linalg.norm(LAB - prompt, axis=1).min() > 0.14


def test_no_mask_is_black_white_or_grey() -> None:
    assert np.hypot(LAB[:, 1], LAB[:, 2]).min() > 0.08


def test_ids_above_two_hundred_have_a_colour_too() -> None:
    assert colour(201) == colour(1)


def test_white_has_the_known_coordinates_in_oklab() -> None:
    np.testing.assert_allclose(oklab(np.array([WHITE])), [[1.0, 0.0, 0.0]], atol=1e-6)


def test_ink_is_readable_on_every_plate() -> None:
    for number, lightness in zip(IDS, LAB[:, 0], strict=True):
        of_ink = oklab(np.array([ink(colour(number))]))[0, 0]
        assert abs(of_ink - lightness) > 0.35


def test_ink_is_black_on_white_and_white_on_black() -> None:
    assert (ink(WHITE), ink(BLACK)) == (BLACK, WHITE)
