#!/usr/bin/env bash
# KITTI labels the pictures of its left colour camera (image_2); scalabel's from_kitti makes frames of the right one's
# (image_3), too. It moves the 3D boxes over to that camera, and gives the 2D boxes unchanged to both pictures.
# A car 10 m ahead is about 39 pixels further left there, one at 5 m 78: half of the frames have boxes beside their
# objects, the more the nearer, and the boxes of both frames are written as labels of equal standing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet scalabel==0.3.1 pydantic==1.10.26 numpy==1.26.4 scipy==1.16.3 pillow==12.3.0
venv/bin/python -W ignore - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, pathlib, sys
from PIL import Image
from scalabel.label.from_kitti import from_kitti

focal, baseline, depth = 720.0, 0.54, 10.0
folder = pathlib.Path("kitti/detection/training")
for name in ("image_2", "image_3", "velodyne", "label_2", "calib"):
    (folder / name).mkdir(parents=True)
for name in ("image_2", "image_3"):
    Image.new("RGB", (1242, 375)).save(folder / name / "000000.png")
(folder / "velodyne/000000.bin").write_bytes(b"")


def projection(shift):
    return f"{focal} 0 621 {shift} 0 {focal} 187 0 0 0 1 0"


lines = [f"P{k}: {projection(-focal * baseline if k in (1, 3) else 0)}" for k in range(4)]
lines += ["R0_rect: 1 0 0 0 1 0 0 0 1", "Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0",
          "Tr_imu_to_velo: 1 0 0 0 0 1 0 0 0 0 1 0"]
(folder / "calib/000000.txt").write_text("\n".join(lines) + "\n")
# a car of 1.5 m x 1.6 m x 4 m whose middle is straight ahead of the left camera
(folder / "label_2/000000.txt").write_text(f"Car 0 0 0 560 140 682 255 1.5 1.6 4 0 0.75 {depth} 0\n")
frames = from_kitti(str(folder), "detection").frames
seen, centres = {}, {}
for frame in frames:
    box, solid = frame.labels[0].box2d, frame.labels[0].box3d
    seen[frame.name] = [box.x1, box.x2 + 1]
    centres[frame.name] = round(solid.location[0], 2)
shift = focal * baseline / depth
print("scalabel", importlib.metadata.version("scalabel"))
print("metres to the right of the camera, 3D:", centres)
print("left and right edge of the 2D box, expected in image_2:", [560, 682], "in image_3:",
      [round(560 - shift, 1), round(682 - shift, 1)])
print("seen:", seen)
names = ["image_2_000000.png", "image_3_000000.png"]
same = list(seen) == names and all(seen[name] == [560, 682] for name in names)
sys.exit(0 if same and centres[names[1]] == -0.54 else 1)
PY
