"""Compound scaling against the paper's Table 1."""

import pytest

from edet.config.sizes import (
    TABLE_1,
    head_repeats,
    image_side,
    pyramid_repeats,
    pyramid_width,
    sized_config,
)


@pytest.mark.parametrize("phi", range(8))
def test_equations_give_table_1_up_to_its_rounding(phi):
    _, side, width, repeats, head = TABLE_1[f"efficientdet-d{phi}"]
    assert head == head_repeats(phi)
    assert width == pytest.approx(pyramid_width(phi), rel=0.30 if phi == 7 else 0.06)
    if phi < 5:  # above, the table leaves the equations for the sake of memory
        assert repeats == pyramid_repeats(phi)
        assert side == image_side(phi)


@pytest.mark.parametrize(
    ("name", "fusion", "scale", "max_level", "rate"),
    [
        ("efficientdet-d0", "fast", 4.0, 7, 0.0),
        ("efficientdet-d5", "fast", 4.0, 7, 0.2),
        ("efficientdet-d6", "sum", 4.0, 7, 0.2),
        ("efficientdet-d7", "sum", 5.0, 7, 0.2),
        ("efficientdet-d7x", "sum", 4.0, 8, 0.2),
        ("efficientdet-lite0", "sum", 3.0, 7, 0.2),
        ("efficientdet-lite3", "sum", 4.0, 7, 0.2),
        ("efficientdet-lite3x", "sum", 3.0, 7, 0.2),
    ],
)
def test_what_the_released_models_have_beyond_table_1(name, fusion, scale, max_level, rate):
    model = sized_config(name).model
    assert model.fusion == fusion
    assert model.anchors.scale == scale
    assert model.max_level == max_level
    assert model.drop_connect_rate == rate


def test_the_largest_models_train_twice_as_long():
    assert sized_config("efficientdet-d6").train.epochs == 300
    assert sized_config("efficientdet-d7x").train.epochs == 600
