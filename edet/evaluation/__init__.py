"""COCO metrics, what explains them, and their pictures."""
