#!/usr/bin/env bash
# CVAT and Label Studio write a turned rectangle as one that lies straight, and the angle beside it. panlabel reads the
# straight one and leaves out the angle: what leans or stands comes out lying, with a COCO box, and an area, of another
# place. A car that stands upright, 20 pixels wide and 80 high, becomes one 80 wide and 20 high: an IoU of 0.14, or none
# from Label Studio, which turns about a corner. What it prints about the loss does not speak of angles.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet panlabel==0.7.0
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, math, pathlib, subprocess, sys

WIDTH, HEIGHT = 200, 200
cvat = (f'<annotations><version>1.1</version><image id="0" name="a.jpg" width="{WIDTH}" height="{HEIGHT}">'
        '<box label="car" occluded="0" xtl="60" ytl="90" xbr="140" ybr="110" rotation="90.0" z_order="0"></box>'
        "</image></annotations>")
value = {"x": 55, "y": 30, "width": 40, "height": 10, "rotation": 90, "rectanglelabels": ["car"]}
result = {"id": "r", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "original_width": WIDTH,
          "original_height": HEIGHT, "image_rotation": 0, "value": value}
label_studio = [{"id": 1, "data": {"image": "/data/a.jpg"}, "annotations": [{"id": 1, "result": [result]}]}]


def turned(box, angle, about):
    """The bounds of a box after a turn about a point, clockwise as both tools draw it."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [(x - about[0], y - about[1]) for x in (box[0], box[2]) for y in (box[1], box[3])]
    xs = [about[0] + x * cos - y * sin for x, y in corners]
    ys = [about[1] + x * sin + y * cos for x, y in corners]
    return [round(side, 2) for side in (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))]


def converted(name, text, form):
    pathlib.Path(name).write_text(text)
    command = ["venv/bin/panlabel", "convert", "--from", form, "--to", "coco", "-i", name, "-o", f"{form}.json",
               "--allow-lossy"]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    box = json.loads(pathlib.Path(f"{form}.json").read_text())["annotations"][0]["bbox"]
    return [round(side, 2) for side in box], "rotat" in (said.stdout + said.stderr).lower()


print("panlabel", importlib.metadata.version("panlabel"))
expected = {"cvat": turned([60, 90, 140, 110], 90, (100, 100)),
            "label-studio": turned([110, 60, 190, 80], 90, (110, 60))}
seen = {"cvat": converted("a.xml", cvat, "cvat"),
        "label-studio": converted("a.json", json.dumps(label_studio), "label-studio")}
for form, (box, told) in seen.items():
    print(f"{form}: expected {expected[form]}, seen {box}; rotation spoken of: {told}")
same = expected == {"cvat": [90, 60, 20, 80], "label-studio": [90, 60, 20, 80]}
sys.exit(0 if same and seen == {"cvat": ([60, 90, 80, 20], False), "label-studio": ([110, 60, 80, 20], False)} else 1)
PY
