#!/usr/bin/env bash
# A box that begins left of or above the picture should be cut at the edge, or come as it is; MediaPipe's
# ObjectDetector sets its corner to 0 and keeps its whole width and height, so it ends too far inside.
# Detectors say such boxes of every object at an edge: they come out shifted, and IoU falls (here to 0.67).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mediapipe==1.2.3 tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 GLOG_minloglevel=2 venv/bin/python - <<'PY'
import sys
import flatbuffers
import mediapipe
import numpy as np
import tensorflow as tf
from mediapipe.tasks import python as tasks
from mediapipe.tasks.metadata import metadata_schema_py_generated as meta
from mediapipe.tasks.metadata import schema_py_generated as schema
from mediapipe.tasks.python import vision

BOX = [0.25, -0.25, 0.75, 0.5]  # ymin, xmin, ymax, xmax as shares of a picture of 64 x 64 pixels


# A model that finds this box in any picture.
@tf.function(autograph=False, input_signature=[tf.TensorSpec([1, 64, 64, 3], tf.float32)])
def detect(image):
    nothing = 0.0 * tf.reduce_sum(image)
    return [nothing + tf.constant(v) for v in ([[BOX]], [[0.0]], [[0.9]], [1.0])]


content = tf.lite.TFLiteConverter.from_concrete_functions([detect.get_concrete_function()]).convert()
model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))

# Its metadata: the names by which MediaPipe finds the outputs, and the order of the box.
box = meta.BoundingBoxPropertiesT()
box.index, box.type, box.coordinateType = [1, 0, 3, 2], meta.BoundingBoxType.BOUNDARIES, 0
image, unit = meta.ImagePropertiesT(), meta.ProcessUnitT()
image.colorSpace = meta.ColorSpaceType.RGB
unit.optionsType, unit.options = meta.ProcessUnitOptions.NormalizationOptions, meta.NormalizationOptionsT()
unit.options.mean, unit.options.std = [0.0], [1.0]


def described(name, kind, properties, units=()):
    tensor, tensor.content = meta.TensorMetadataT(), meta.ContentT()
    tensor.name, tensor.processUnits = name, list(units)
    tensor.content.contentPropertiesType, tensor.content.contentProperties = kind, properties
    return tensor


kinds, plain = meta.ContentProperties, meta.FeaturePropertiesT()
graph, whole = meta.SubGraphMetadataT(), meta.ModelMetadataT()
graph.inputTensorMetadata = [described("image", kinds.ImageProperties, image, [unit])]
graph.outputTensorMetadata = [described("location", kinds.BoundingBoxProperties, box)] + [
    described(name, kinds.FeatureProperties, plain)
    for name in ("category", "score", "number of detections")
]
whole.name, whole.subgraphMetadata = "one box", [graph]
builder = flatbuffers.Builder(0)
builder.Finish(whole.Pack(builder), b"M001")
entry, buffer = schema.MetadataT(), schema.BufferT()
entry.name, entry.buffer, buffer.data = "TFLITE_METADATA", len(model.buffers), list(builder.Output())
model.buffers.append(buffer)
model.metadata = (model.metadata or []) + [entry]
builder = flatbuffers.Builder(0)
builder.Finish(model.Pack(builder), b"TFL3")

options = vision.ObjectDetectorOptions(
    base_options=tasks.BaseOptions(model_asset_buffer=bytes(builder.Output()))
)
with vision.ObjectDetector.create_from_options(options) as detector:
    picture = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.zeros((64, 64, 3), np.uint8))
    found = detector.detect(picture).detections[0].bounding_box
seen = [found.origin_x, found.origin_y, found.origin_x + found.width, found.origin_y + found.height]
print("mediapipe", mediapipe.__version__)
print("expected: x -16 to 32 as the model says, or 0 to 32, cut at the edge")
print("seen:     x", seen[0], "to", seen[2])
sys.exit(0 if seen == [0, 16, 48, 48] else 1)
PY
