"""One subject's points, each as a map of where it may be: an encoder, a top-down path, one map a point.

Paper: Xiao, Wu, Wei 2018, "Simple Baselines for Human Pose Estimation and Tracking", arXiv 1804.06208; the loss is a
    cross-entropy over all places of a map, the answer the mean of its peak (Sun et al. 2018, "Integral Human Pose
    Regression", arXiv 1711.08229): regressing the maps themselves collapses to nothing where points are small.
Licence: code Apache-2.0; the encoder's weights are those of its library (the packaged one's: Apache-2.0).
Expected: see docs/results.md, open field mouse.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from manako.blocks.encoder import Encoder
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.pretrained import start
from manako.blocks.single_pose import SinglePose
from manako.blocks.top_down import TopDown, conv_norm

TASKS = ("pose",)
VARIANTS: dict[str, dict[str, object]] = {"heatmap_pose": {}}


class HeatmapPose(SinglePose):
    """Finds one subject an image (the largest one is taught).

    stride: pixels a cell of the maps. width: channels of the top-down path. spread: standard deviation of the target
    in cells. limbs: pairs of points, "0-1 1-2"; they cost nothing here, a single subject needs no matching.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "tf_efficientnet_lite0",
        stride: int = 4,
        width: int = 96,
        spread: float = 1.0,
        limbs: str = "",
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="heatmap_pose")
        check_range(width, 8, 1024, model="heatmap_pose", option="width")
        check_range(spread, 0.3, 10, model="heatmap_pose", option="spread")
        self.encoder = Encoder(network, channels=channels, imgsz=imgsz, weights=weights)
        self.mean, self.std = self.encoder.mean, self.encoder.std
        self.pretrained, self.notice = self.encoder.pretrained, self.encoder.notice
        self.notes += self.encoder.notes
        self.decoder = TopDown(self.encoder.channels, self.encoder.strides, stride=stride, width=width)
        self.stride, self.spread = self.decoder.stride, spread
        self.head = nn.Sequential(conv_norm(width, width), nn.Conv2d(width, classes, 1))
        self.limbs = len(limbs.split()) or max(1, classes - 1)
        start(self, weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.answer(self.head(self.decoder(self.encoder(images))))

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from parameter_stages(*self.encoder.network.children())
        yield from parameter_stages(self.decoder, self.head)
