"""PSPNet: what the coarsest map says in the whole image, in its quarters, ninths and thirty-sixths, joined to it.

Paper: Zhao, Shi, Qi, Wang, Jia 2017, "Pyramid Scene Parsing Network", arXiv 1612.01105.
Licence: code Apache-2.0; the pyramid is that of segmentation-models-pytorch (MIT); an encoder's weights are those of
    its library (the packaged one's: Apache-2.0).
Expected: see docs/results.md. Published: mean IoU 85.4 on PASCAL VOC 2012, 77.9 to 78.6 on Cityscapes (ResNet-50).
"""

from __future__ import annotations

from collections.abc import Iterator

from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder
from torch import Tensor, nn

from manako.blocks.encoder import Encoder
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.pretrained import start
from manako.blocks.segmenter import Segmenter
from manako.errors import ConfigError

TASKS = ("segmentation",)
PREFIX = "pspnet"
VARIANTS = {"pspnet": {"network": "tf_efficientnet_lite0"}}
STRIDE = 8


class Pspnet(Segmenter):
    """network: a name of timm; its last stages are dilated so that the coarsest map is an eighth of the image.

    levels: how many stages of the network are used; 3 is what segmentation-models-pytorch takes, 5 what the paper has.
    width: channels of the joined map.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "tf_efficientnet_lite0",
        levels: int = 5,
        width: int = 512,
        dropout: float = 0.2,
        loss: str = "cross_entropy+dice",
        any_licence: bool = False,
    ) -> None:
        super().__init__(loss=loss, name="pspnet")
        check_imgsz(imgsz, 32, model="pspnet")
        check_range(dropout, 0, 0.95, model="pspnet", option="dropout")
        check_range(width, 8, 4096, model="pspnet", option="width")
        check_range(levels, 3, 5, model="pspnet", option="levels")
        self.encoder = Encoder(
            network,
            channels=channels,
            imgsz=imgsz,
            weights=weights,
            any_licence=any_licence,
            stride=STRIDE if levels > 3 else 32,
            levels=levels if levels < 5 else None,
        )
        self.take_over(self.encoder)
        if self.encoder.strides[-1] != STRIDE:
            reason = f"stride {self.encoder.strides[-1]}, not {STRIDE}"
            raise ConfigError("model.network_unfit", network=network, imgsz=imgsz, reason=reason)
        self.decoder = PSPDecoder([*self.encoder.channels], out_channels=width, dropout=dropout)
        self.head = SegmentationHead(width, classes, kernel_size=3, upsampling=STRIDE)
        start(self, weights)

    def scores(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.decoder(self.encoder(images)))
        return logits

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from self.encoder.stages()
        yield from parameter_stages(nn.ModuleList([self.decoder, self.head]))
