"""What measures a page's cost counts what it says, on pictures that are no copies."""

import json
import time
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tools.benchmarks.page_cost import repeated, timed


def test_repeated_pictures_have_ids_and_bytes_of_their_own_and_the_same_pixels(tmp_path):
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(tmp_path / "a.jpg")
    image = {"id": 7, "file_name": "a.jpg", "height": 8, "width": 8}
    box = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}
    data = {"images": [image], "annotations": [box], "categories": [{"id": 3, "name": "car"}]}
    (tmp_path / "a.json").write_text(json.dumps(data))
    examples = repeated(str(tmp_path / "a.json"), str(tmp_path), 3).examples
    assert [one.source_id for one in examples] == ["0", "1", "2"]
    assert len({one.image for one in examples}) == 3
    assert [tf.io.decode_jpeg(one.image).numpy().max() for one in examples] == [90] * 3
    assert all(one.boxes.tolist() == [[1, 1, 5, 5]] for one in examples)


def test_calls_are_timed_whatever_comes_of_them_and_only_while_asked():
    place = types.SimpleNamespace(sleep=time.sleep, fail=lambda: 1 / 0)
    spent = {}
    with timed(spent, (place, "sleep"), (place, "fail")):
        place.sleep(0.02)
        place.sleep(0.02)
        with pytest.raises(ZeroDivisionError):
            place.fail()
    place.sleep(0)
    clock, cpu = spent["sleep"]
    assert 0.04 <= clock < 4 and cpu < 0.04
    assert list(spent) == ["sleep", "fail"]
