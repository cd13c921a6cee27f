"""Boxes and anchors: pure functions on tensors with static shapes."""
