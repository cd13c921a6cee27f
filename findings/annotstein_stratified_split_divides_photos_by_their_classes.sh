#!/usr/bin/env bash
# A split gives each photo to training or test, with all its objects. annotstein's train_test_split divides the photos of
# each class by themselves, which is its default (stratify) and that of its command: a photo with a person and a dog may
# go to training for the one and to test for the other. It is in both, as a person without the dog here and as a dog
# without the person there, and where both classes choose alike it is listed twice in one. So a detector has seen photos
# of its test, learns that what the other half holds is background, and is blamed for finding it. Nothing is said.
# Photos of one class, stratify=False and train_val_test_split are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-deps annotstein==0.2.0.post0 numpy==2.4.6 pillow==10.4.0 pydantic==2.8.2 pydantic-core==2.20.1 \
  annotated-types==0.7.0 typing-extensions==4.16.0 pyyaml==6.0.3
venv/bin/python - <<'PY'
import importlib.metadata, random, sys
from collections import Counter
from annotstein.coco.ops import COCO

NAMES = {1: "person", 2: "dog"}


def split(classes, how):
    """Divides 100 photos, which have one object of each class; gives photos in both parts, listed twice, and without one."""
    random.seed(0)
    objects = [{"id": 10 * photo + k, "image_id": photo, "category_id": k, "bbox": [30 * k, 10, 20, 20], "segmentation": []}
               for photo in range(1, 101) for k in classes]
    whole = COCO.from_dict({"images": [{"id": photo, "file_name": f"{photo}.jpg"} for photo in range(1, 101)],
                            "annotations": objects,
                            "categories": [{"id": k, "name": NAMES[k], "supercategory": ""} for k in classes]})
    parts = how(whole)
    listed = [Counter(photo.id for photo in part.images) for part in parts]
    found = [Counter(item.image_id for item in part.annotations) for part in parts]
    both = set(listed[0]) & set(listed[-1])
    return {"in training and test": len(both), "listed twice": sum(n > 1 for part in listed for n in part.values()),
            "without an object of theirs": len({photo for part, count in zip(listed, found) for photo in part
                                                if count[photo] < len(classes)})}


print("annotstein", importlib.metadata.version("annotstein"))
ways = {"train_test_split(0.8)": lambda coco: coco.train_test_split(0.8),
        "the same, stratify=False": lambda coco: coco.train_test_split(0.8, stratify=False),
        "train_val_test_split(0.2, 0.2)": lambda coco: coco.train_val_test_split(0.2, 0.2)}
seen = {}
for classes in ((1, 2), (1,)):
    print("100 photos, each with", " and a ".join(["a " + NAMES[classes[0]], *(NAMES[k] for k in classes[1:])]))
    for name, how in ways.items():
        seen[classes, name] = split(classes, how)
        print(f"  {name}: expected 0 of each, seen {seen[classes, name]}")
wrong = seen.pop(((1, 2), "train_test_split(0.8)"))
right = all(number == 0 for counts in seen.values() for number in counts.values())
as_described = wrong["in training and test"] > 10 and wrong["in training and test"] == wrong["without an object of theirs"]
sys.exit(0 if as_described and right and wrong["listed twice"] > 50 else 1)
PY
