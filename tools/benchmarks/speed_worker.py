"""Runs one network when told to, and says how long it took: the other half of compare_speed.

A process of its own for each contender, in whatever environment has its library; so nothing of
edet is imported here. Says first what memory it took until it was warm, in MiB; then reads from
stdin how many runs to do, one number a line, and answers each with the times of the runs in
milliseconds as JSON.

    python tools/speed_worker.py <engine> <threads> <batch> <path>
    python tools/speed_worker.py export <library of EXPORTS> <its model> <ONNX file to write>
"""

import json
import os
import sys
import time

import numpy as np


def _saved_model(path: str, threads: int):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return tf.saved_model.load(path)


def _tensorflow(path: str, threads: int, batch: int):
    """A SavedModel: its signature `raw`, or the one of keras.export."""
    import tensorflow as tf

    model = _saved_model(path, threads)
    run = model.signatures["raw" if "raw" in model.signatures else "serve"]
    ((name, spec),) = run.structured_input_signature[1].items()
    pixels = tf.random.stateless_normal([batch, *spec.shape[1:]], [0, 0])
    return lambda: [output.numpy() for output in run(**{name: pixels}).values()]


def _tensorflow_c(path: str, threads: int, batch: int):
    """A SavedModel in TensorFlow's C library; `path` is JSON of what `CSession` takes."""
    from c_session import CSession

    with open(path, encoding="utf-8") as file:
        session = CSession(**json.load(file), threads=threads)
    shape = (batch, *session.shape[1:])  # importing numpy.random would take 20 MiB
    pixels = np.linspace(-2, 2, np.prod(shape), dtype=np.float32).reshape(shape)
    return lambda: session(pixels)


def _pictures(batch: int):
    """Encoded photos of 480x640 with as much detail as a camera's: some 90 KB each."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (30, 40, 3))
    fine = np.kron(coarse, np.ones((16, 16, 1))) + rng.normal(0, 6, (480, 640, 3))
    pixels = np.clip(fine, 0, 255).astype(np.uint8)
    return tf.constant([tf.io.encode_jpeg(pixels, quality=90).numpy()] * batch)


def _tensorflow_total(path: str, threads: int, batch: int):
    """Encoded pictures to detections by a SavedModel of ours."""
    model = _saved_model(path, threads)
    run, encoded = model.signatures["serving_default"], _pictures(batch)
    return lambda: [output.numpy() for output in run(image_bytes=encoded).values()]


def _litert(path: str, threads: int, batch: int):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    values = np.random.default_rng(0).integers(0, 256, given["shape"]).astype(given["dtype"])
    interpreter.set_tensor(given["index"], values)
    outputs = [output["index"] for output in interpreter.get_output_details()]

    def run():
        for _ in range(batch):
            interpreter.invoke()
            for output in outputs:
                interpreter.get_tensor(output)

    return run


def _onnxruntime(path: str, threads: int, batch: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    values = np.random.default_rng(0).normal(size=given.shape).astype(np.float32)
    return lambda: [session.run(None, {given.name: values}) for _ in range(batch)]


def _openvino(path: str, threads: int, batch: int):
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32"}  # fmt: skip
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    values = np.random.default_rng(0).normal(size=compiled.input(0).shape).astype(np.float32)
    request = compiled.create_infer_request()
    return lambda: [request.infer([values]) for _ in range(batch)]


def _effdet(path: str, threads: int, batch: int):
    """PyTorch as it comes, channels last; `path` is effdet's name of the model."""
    import effdet
    import torch

    torch.set_num_threads(threads)
    network = effdet.create_model(path, pretrained=False, pretrained_backbone=False, bench_task="")
    network = network.eval().to(memory_format=torch.channels_last)
    pixels = torch.randn(batch, 3, *network.config.image_size)
    pixels = pixels.to(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            network(pixels)

    return run


def _export_ultralytics(name: str, path: str) -> None:
    """Writes a network of Ultralytics with random weights as an ONNX file."""
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    import ultralytics

    written = ultralytics.YOLO(f"{name}.yaml").export(format="onnx", opset=17, simplify=False)
    os.replace(written, path)


def _export_effdet(name: str, path: str) -> None:
    """Writes effdet's network as an ONNX file."""
    import effdet
    import torch

    network = effdet.create_model(name, pretrained=False, pretrained_backbone=False, bench_task="")
    pixels = torch.zeros(1, 3, *network.config.image_size)
    torch.onnx.export(network.eval(), (pixels,), path, opset_version=17, dynamo=False)


def _rf_detr_nano():
    """RF-DETR nano by Roboflow's rfdetr, at 384 x 384, in transformers: 30.5 million weights."""
    from transformers import RfDetrConfig, RfDetrForObjectDetection

    backbone = {
        "model_type": "rf_detr_dinov2", "image_size": 384, "patch_size": 16, "hidden_size": 384,
        "num_attention_heads": 6, "num_windows": 2,
        "out_features": ["stage3", "stage6", "stage9", "stage12"],
    }  # fmt: skip
    config = RfDetrConfig(
        backbone_config=backbone, decoder_layers=2, decoder_n_points=2, num_labels=91
    )
    return RfDetrForObjectDetection(config), 384


def _deimv2_n():
    """DEIMv2-N by its deimv2_hgnetv2_n_coco, at 640 x 640, in transformers: 3.6 million weights."""
    from transformers import Deimv2Config, Deimv2ForObjectDetection, HGNetV2Config

    backbone = HGNetV2Config(  # B0
        hidden_sizes=[128, 256, 512, 1024], stem_channels=[3, 16, 16],
        stage_in_channels=[16, 64, 256, 512], stage_mid_channels=[16, 32, 64, 128],
        stage_out_channels=[64, 256, 512, 1024], stage_num_blocks=[1, 1, 2, 1],
        stage_downsample=[False, True, True, True], stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 5, 5], stage_numb_of_layers=[3] * 4, depths=[3] * 4,
        use_learnable_affine_block=True, out_indices=[3, 4],
    )  # fmt: skip
    config = Deimv2Config(
        backbone_config=backbone, encoder_hidden_dim=128, encoder_in_channels=[512, 1024],
        feat_strides=[16, 32], encode_proj_layers=[1], encoder_ffn_dim=512, hidden_expansion=0.34,
        depth_mult=0.5, d_model=128, decoder_ffn_dim=512, decoder_layers=3, num_feature_levels=2,
        decoder_n_points=[6, 6], decoder_in_channels=[128, 128], decoder_activation_function="silu",
        eval_size=[640, 640], num_labels=80,
    )  # fmt: skip
    return Deimv2ForObjectDetection(config), 640


def _export_transformers(name: str, path: str) -> None:
    """Writes a network of transformers with random weights as an ONNX file."""
    import torch

    network, size = {"rf-detr-nano": _rf_detr_nano, "deimv2-n": _deimv2_n}[name]()

    class Outputs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, pixels):
            found = self.network(pixel_values=pixels)
            return found.logits, found.pred_boxes

    # Each is taken by one of PyTorch's two exporters alone. The older one lacks the bicubic resize
    # of RF-DETR's positions, which the newer one leaves out, and the newer one a check of DEIMv2's.
    torch.onnx.export(
        Outputs().eval(), (torch.zeros(1, 3, size, size),), path, opset_version=18,
        dynamo=name == "rf-detr-nano",
    )  # fmt: skip


ENGINES = {
    "tensorflow": _tensorflow,
    "tensorflow_c": _tensorflow_c,
    "tensorflow_total": _tensorflow_total,
    "litert": _litert,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "effdet": _effdet,
}

EXPORTS = {
    "effdet": _export_effdet,
    "transformers": _export_transformers,
    "ultralytics": _export_ultralytics,
}


def _peak_mib() -> float:
    """The most memory that this process has held; getrusage would count its parent's."""
    with open("/proc/self/status", encoding="ascii") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Loads, warms up, says what memory that took in MiB, then measures at every number."""
    if sys.argv[1] == "export":
        EXPORTS[sys.argv[2]](*sys.argv[3:])
        return
    engine, threads, batch, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    answers = os.fdopen(os.dup(1), "w")  # libraries talk on stdout too
    os.dup2(2, 1)
    run = ENGINES[engine](path, threads, batch)
    for _ in range(3):
        run()
    print(json.dumps(_peak_mib()), file=answers, flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(2):  # others have had the processor and its caches
            run()
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            times.append(1000 * (time.perf_counter() - start))
        print(json.dumps(times), file=answers, flush=True)


if __name__ == "__main__":
    main()
