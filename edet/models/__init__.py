"""Networks: backbones, feature networks, heads, and EfficientDet made of them."""
