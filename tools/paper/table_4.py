"""Tables 2 and 4: RetinaNet and the steps from it to EfficientDet-D3."""

from __future__ import annotations

from typing import NamedTuple

from tools.paper import costs


class Neck(NamedTuple):
    """A row of the paper, and the configuration that it is here."""

    label: str
    config: str  # configs/paper/backbone_neck/<config>.yaml
    ap: str
    parameters: float  # millions
    multiply_adds: float  # billions


NECKS = (
    Neck("ResNet-50 + FPN", "resnet50_fpn", "37.0", 34, 97),
    Neck("ResNet-101 + FPN (Table 2)", "resnet101_fpn", "39.8", 53, 127),
    Neck("EfficientNet-B3 + FPN", "efficientnet_b3_fpn", "40.3", 21, 75),
    Neck("EfficientNet-B3 + BiFPN", "efficientnet_b3_bifpn", "44.4", 12, 24),
)


def table(found: costs.Costs) -> list[list[str]]:
    """Returns headings and rows: published and counted parameters and multiply-adds."""
    rows = [["backbone and feature network", "input here", "AP: paper", "parameters, M: paper",
             "ours", "difference", "multiply-adds, B: paper", "ours", "difference"]]  # fmt: skip
    for neck in NECKS:
        height, width = costs.figure(found, neck.config, "image_size")
        row = [neck.label, f"{height} x {width}", neck.ap]
        for published, ours in zip((neck.parameters, neck.multiply_adds), ours_of(found, neck),
                                   strict=True):  # fmt: skip
            row += [f"{published:g}", f"{ours:.2f}", f"{100 * (ours / published - 1):+.1f} %"]
        rows.append(row)
    return rows


def ours_of(found: costs.Costs, neck: Neck) -> tuple[float, float]:
    """Returns (millions of parameters, billions of multiply-adds) of ours."""
    return (
        costs.figure(found, neck.config, "parameters") / 1e6,
        costs.figure(found, neck.config, "multiply_adds") / 1e9,
    )
