"""What other detectors call the settings of edet: google/automl, effdet, TF's Object Detection API,
Keras, Ultralytics and supervision. Names that edet has itself, too, are not here.
"""

from __future__ import annotations

_OTHERS = {  # our "section.key": theirs
    "model.image_size": "imgsz input_size input_shape resolution",
    "model.labels": "label_map label_id_mapping label_map_path class_names names",
    "model.anchors.scale": "anchor_scale anchor_scales",
    "model.anchors.aspect_ratios": "anchor_ratios anchors_ratios",
    "data.train_records": "training_file_pattern train_file_pattern",
    "data.eval_records": "validation_file_pattern val_file_pattern",
    "data.batch_size": "batch",
    "data.max_boxes": "max_instances_per_image",
    "loss.weight_decay": "l2 l2_loss",
    "train.init": "pretrained pretrained_weights init_weights init_checkpoint load_weights "
    "fine_tune_checkpoint checkpoint ckpt weights",
    "train.freeze": "var_freeze_expr freeze_backbone freeze_layers",
    "train.learning_rate": "lr0 base_lr learning_rate_base",
    "train.schedule": "lr_decay_method lr_schedule scheduler",
    "train.clip_norm": "clip_gradients_norm gradient_clip gradient_clip_norm gradient_clip_val",
    "train.ema_decay": "moving_average_decay model_ema",
    "train.precision": "mixed_precision amp fp16 half float16 bf16 bfloat16 use_bfloat16",
    "train.remat": "grad_checkpoint gradient_checkpoint gradient_checkpointing grad_checkpointing",
    "train.micro_batches": "gradient_accumulation gradient_accumulation_steps accumulation_steps "
    "accumulate_grad_batches accumulate",
    "train.patience": "early_stopping",
    "detect.max_detections": "max_det max_output_size max_boxes_to_draw",
    "detect.score_threshold": "conf min_score_thresh score_thresh",
    "detect.iou_threshold": "iou iou_thres iou_thresh nms_iou",
    "detect.tile": "tile_size slice slice_size",
    "export.precision": "quantize quantization int8 fp16 half float16",
}


def called_elsewhere(name: str) -> list[str]:
    """Returns "section.key" of the settings that other detectors give this name."""
    return [key for key, names in _OTHERS.items() if name in names.split()]
