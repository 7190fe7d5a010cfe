"""Any number of subjects, from the bottom up: maps of points, and fields that say which points belong together.

Paper: Cao et al. 2019, "OpenPose: Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields",
    arXiv 1812.08008: the fields first, refined in stages, then the maps of the points. Differences: the maps learn by
    the quality focal loss of Li et al. 2020 (arXiv 2006.04388), as squared errors collapse where points are small;
    peaks are placed to a fraction of a cell; the light network works at a stride of 4.
Licence: code Apache-2.0; the encoder's weights are those of its library (the packaged one's: Apache-2.0).
Expected: OKS AP 65.3 on COCO's validation images with VGG-19 and long training (published); see docs/results.md for
    generated figures and the open field mouse.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.encoder import Encoder
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.model import Model
from manako.blocks.pretrained import start
from manako.blocks.top_down import TopDown, conv_norm

if TYPE_CHECKING:
    from manako.training.targets.pose import PoseTargets

TASKS = ("pose",)
VARIANTS = {
    "openpose": {},
    "openpose_vgg19": {"network": "vgg19", "stride": 8, "width": 128, "stages": 4},
}
FLOOR = 0.05  # candidates with a lower score are left out
SAMPLES = 10  # of the field along a limb
RARE = 0.01  # the score that a new network gives every place


class Openpose(Model):
    """limbs: pairs of points, "0-1 1-2"; "" is a chain. stages: of the fields; the maps have one more after them.

    stride: pixels a cell. width: channels. spread: standard deviation of a point in cells. subjects: most candidates of
    each point. breadth: half the breadth of a limb's field in cells.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "tf_efficientnet_lite0",
        limbs: str = "",
        stages: int = 2,
        stride: int = 4,
        width: int = 64,
        spread: float = 1.5,
        breadth: float = 1.0,
        subjects: int = 16,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="openpose")
        for option, value, low, high in (("stages", stages, 1, 8), ("width", width, 8, 1024)):
            check_range(value, low, high, model="openpose", option=option)
        for option, size, top in (("spread", spread, 10), ("breadth", breadth, 10), ("subjects", subjects, 100)):
            check_range(size, 0.3, top, model="openpose", option=option)
        self.limbs = parse_limbs(limbs, classes)
        self.spread, self.breadth, self.candidates = spread, breadth, subjects
        self.encoder = Encoder(network, channels=channels, imgsz=imgsz, weights=weights)
        self.mean, self.std = self.encoder.mean, self.encoder.std
        self.pretrained, self.notice = self.encoder.pretrained, self.encoder.notice
        self.notes += self.encoder.notes
        self.decoder = TopDown(self.encoder.channels, self.encoder.strides, stride=stride, width=width)
        self.stride = self.decoder.stride
        fields = 2 * len(self.limbs)
        self.field_stages = nn.ModuleList(Stage(width + (fields if i else 0), width, fields) for i in range(stages))
        self.map_stages = nn.ModuleList(
            Stage(width + fields + (classes if i else 0), width, classes, score=RARE) for i in range(2)
        )
        start(self, weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """fields: (N, stages, 2L, h, w), unit vectors along the limbs. logits: (N, 2, K, h, w), of the points.

        In evaluation mode also the candidates (peaks) and how well the fields join them (limbs).
        """
        x = self.decoder(self.encoder(images))
        fields: list[Tensor] = []
        for stage in self.field_stages:
            fields.append(stage(torch.cat([x, fields[-1]], 1) if fields else x))
        logits: list[Tensor] = []
        for stage in self.map_stages:
            before = [logits[-1].sigmoid()] if logits else []
            logits.append(stage(torch.cat([x, fields[-1], *before], 1)))
        found = {"fields": torch.stack(fields, 1), "logits": torch.stack(logits, 1)}
        if self.training:
            return found
        peaks = self.peaks(logits[-1].float())
        return {**found, "peaks": peaks, "limbs": self.joined(fields[-1].float(), peaks)}

    def peaks(self, logits: Tensor) -> Tensor:
        """(N, K, P, 3): x, y in pixels and score of the highest places that no neighbour tops; 0 where there are less.

        A parabola through the logarithm of a peak and its neighbours finds the middle of a Gaussian exactly.
        """
        height, width = logits.shape[-2:]
        logs = functional.logsigmoid(logits)
        top = functional.max_pool2d(logs, 3, 1, 1)
        score = torch.where(logs >= top, logs.exp(), 0).flatten(2)
        value, place = score.topk(min(self.candidates, height * width), dim=-1)
        column, row = place % width, place // width
        flat = functional.pad(logs, (1, 1, 1, 1), mode="replicate").flatten(2)
        middle = (row + 1) * (width + 2) + column + 1

        def shift(step: int) -> Tensor:
            before, at, after = (flat.gather(2, middle + s) for s in (-step, 0, step))
            bend = (2 * at - before - after).clamp_min(1e-3)
            return ((after - before) / bend / 2).clamp(-0.5, 0.5)

        x = (column + 0.5 + shift(1)) * self.stride
        y = (row + 0.5 + shift(width + 2)) * self.stride
        found = torch.stack([x, y, value], -1)
        found = torch.where((value >= FLOOR).unsqueeze(-1), found, 0)
        return functional.pad(found, (0, 0, 0, self.candidates - found.shape[2]))

    def joined(self, fields: Tensor, peaks: Tensor) -> Tensor:
        """(N, L, P, P): the mean of the field along the way from each candidate to each other, in its direction."""
        count, _, height, width = fields.shape
        ends = torch.tensor(self.limbs, device=fields.device)
        start, end = (peaks[:, ends[:, side], :, :2] for side in (0, 1))
        way = end.unsqueeze(2) - start.unsqueeze(3)  # (N, L, P, P, 2)
        unit = way / way.norm(dim=-1, keepdim=True).clamp_min(1e-3)
        steps = (torch.arange(SAMPLES, device=fields.device) + 0.5) / SAMPLES
        places = start.unsqueeze(3).unsqueeze(-2) + way.unsqueeze(-2) * steps[:, None]
        size = torch.tensor([width, height], device=fields.device) * self.stride
        grid = (2 * places / size - 1).flatten(0, 1).flatten(2, 3)  # (N * L, P, P * SAMPLES, 2)
        found = functional.grid_sample(
            fields.reshape(-1, 2, height, width), grid, padding_mode="border", align_corners=False
        )
        candidates = peaks.shape[2]
        found = found.view(count, len(self.limbs), 2, candidates, candidates, SAMPLES)
        along = (found.mean(-1) * unit.permute(0, 1, 4, 2, 3)).sum(2)
        there = peaks[..., 2] > 0
        both = there[:, ends[:, 0]].unsqueeze(3) & there[:, ends[:, 1]].unsqueeze(2)
        return torch.where(both, along.clamp(-1, 1), 0)

    def loss(self, outputs: dict[str, Tensor], targets: PoseTargets) -> Tensor:  # type: ignore[override]
        """Each stage's: focal loss of the maps, and absolute errors of the fields on limbs and off them."""
        logits, fields = outputs["logits"], outputs["fields"]
        truth, points = self._true_points(targets, logits), targets.known.sum((1, 2))
        vectors, on_limb = self._true_fields(targets, fields)
        use = self._used(targets, logits.shape[-2:])
        maps = sum(focal(logits[:, i], truth, use, points) for i in range(logits.shape[1]))
        wrong = (fields - vectors.unsqueeze(1)).abs() * use.unsqueeze(1)
        on = on_limb.repeat_interleave(2, 1).unsqueeze(1)
        inside = (wrong * on).sum((1, 2, 3, 4)) / on.sum((1, 2, 3, 4)).clamp_min(1)
        outside = (wrong * (1 - on)).sum((1, 2, 3, 4)) / (1 - on).sum((1, 2, 3, 4)).clamp_min(1)
        loss: Tensor = maps + (inside + 3 * outside).mean() * 3
        return loss

    def _cells(self, size: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
        """Middles of columns and rows in pixels."""
        across, down = (torch.arange(n, device=like.device, dtype=like.dtype) + 0.5 for n in (size[1], size[0]))
        return across * self.stride, down * self.stride

    def _true_points(self, targets: PoseTargets, logits: Tensor) -> Tensor:
        """(N, K, h, w): a Gaussian around each known point, the highest of all subjects."""
        across, down = self._cells(logits.shape[-2:], logits)
        sigma = self.spread * self.stride
        x, y = targets.xy.unbind(-1)
        wide = (-((across - x.unsqueeze(-1)) / sigma).square() / 2).exp()
        tall = (-((down - y.unsqueeze(-1)) / sigma).square() / 2).exp() * targets.known.unsqueeze(-1)
        return torch.einsum("nskh,nskw->nskhw", tall, wide).amax(1)

    def _true_fields(self, targets: PoseTargets, fields: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2L, h, w): the direction of the limb in cells near it, averaged where limbs of a kind cross, 0 elsewhere;
        and (N, L, h, w): which cells these are."""
        across, down = self._cells(fields.shape[-2:], fields)
        ends = torch.tensor(self.limbs, device=fields.device)
        start, end = targets.xy[:, :, ends[:, 0]], targets.xy[:, :, ends[:, 1]]  # (N, S, L, 2)
        there = targets.known[:, :, ends[:, 0]] & targets.known[:, :, ends[:, 1]]
        way = end - start
        length = way.norm(dim=-1).clamp_min(1e-3)
        unit = way / length.unsqueeze(-1)
        dx = across - start[..., 0, None]  # (N, S, L, w)
        dy = down - start[..., 1, None]
        ux, uy = unit[..., 0, None, None], unit[..., 1, None, None]
        along = dx.unsqueeze(-2) * ux + dy.unsqueeze(-1) * uy
        beside = (dx.unsqueeze(-2) * uy - dy.unsqueeze(-1) * ux).abs()
        reach = self.breadth * self.stride
        near = (beside <= reach) & (along >= -reach / 2) & (along <= length[..., None, None] + reach / 2)
        near = near & there[..., None, None]
        count = near.sum(1)
        total = torch.stack([(near * ux).sum(1), (near * uy).sum(1)], 2) / count.clamp_min(1).unsqueeze(2)
        return total.flatten(1, 2), (count > 0).to(total.dtype)

    def _used(self, targets: PoseTargets, size: Sequence[int]) -> Tensor:
        """(N, 1, h, w): 0 inside the boxes of subjects whose points nobody labelled (crowds)."""
        unlabelled = targets.subjects & ~targets.known.any(-1)
        across, down = self._cells(size, targets.xy)
        left, top, right, bottom = (targets.boxes[..., i, None] for i in range(4))
        inside = ((down >= top) & (down <= bottom)).unsqueeze(-1) & ((across >= left) & (across <= right)).unsqueeze(-2)
        return (~(inside & unlabelled[..., None, None]).any(1, keepdim=True)).to(targets.xy.dtype)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from parameter_stages(*self.encoder.network.children())
        yield from parameter_stages(self.decoder)
        yield [p for part in (self.field_stages, self.map_stages) for p in part.parameters()]


class Stage(nn.Module):
    """Three blocks of 3 x 3 convolutions, then one map for each output. score: what a sigmoid makes of it at first."""

    def __init__(self, before: int, width: int, after: int, *, score: float = 0.5) -> None:
        super().__init__()
        self.first = conv_norm(before, width)
        self.blocks = nn.ModuleList(conv_norm(width, width) for _ in range(2))
        self.last = nn.Conv2d(width, after, 1)
        assert self.last.bias is not None
        nn.init.constant_(self.last.bias, math.log(score / (1 - score)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        found: Tensor = self.last(x)
        return found


def focal(logits: Tensor, truth: Tensor, use: Tensor, points: Tensor) -> Tensor:
    """Quality focal loss: least where the score is the truth; the mean over images, each divided by its points."""
    far = (truth - logits.sigmoid()).square()
    each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none") * far * use
    return (each.sum((1, 2, 3)) / points.clamp_min(1)).mean()


def parse_limbs(text: str, classes: int) -> tuple[tuple[int, int], ...]:
    """ "0-1 1-2" -> pairs; a chain of all points for "". Raises ConfigError."""
    from manako.errors import ConfigError

    if not text:
        return tuple((i, i + 1) for i in range(classes - 1)) or ((0, 0),)
    pairs = []
    for word in text.split():
        one, _, other = word.partition("-")
        if not (one.isdecimal() and other.isdecimal() and int(one) < classes and int(other) < classes):
            raise ConfigError("pose.limbs_option", value=word, count=classes)
        pairs.append((int(one), int(other)))
    return tuple(pairs)
