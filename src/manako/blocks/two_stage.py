"""The base of torchvision's detectors that first propose regions and then judge each of them.

Paper: Ren et al. 2015, "Faster R-CNN", arXiv 1506.01497.

Training goes through torchvision's own code. In evaluation the same steps are written for a whole batch with a fixed
number of candidates, so that the graph can be exported for any number of images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.models.detection.rpn import concat_box_prediction_layers

from manako.blocks.anchors import grid_anchors
from manako.blocks.candidates import (
    best,
    class_candidates,
    move_boxes,
    numbered,
    pick,
    pool_regions,
    rows_where,
    survivors,
    within,
)
from manako.blocks.detectors import as_lists, take_channels
from manako.blocks.layers import parameter_stages
from manako.blocks.model import Model
from manako.blocks.torchvision_weights import imagenet_pixels, load_imagenet

if TYPE_CHECKING:
    from manako.training.targets.detection import DetectionTargets

CANDIDATES = 100  # objects of one image
LOWEST = 0.01  # score of a candidate
_BEFORE = 1000  # candidates whose overlaps are looked at
_CODING = (10.0, 10.0, 5.0, 5.0)

Truths = list[dict[str, Tensor]]


class TwoStage(Model):
    """torchvision's network is `network`, its state dict unchanged; images may have any size and shape.

    Outputs beside the task's, in evaluation: what the loss looks at. In training: `images` and the maps, since which
    regions are judged then depends on the truth.
    """

    unordered: ClassVar[tuple[str, ...]] = ("proposals", "proposal_scores", "class_logits", "class_deltas")
    """Outputs whose rows rounding may put in another order."""
    network: Any

    def take_network(self, name: str, *, channels: int, weights: str, last: Sequence[str], **sizes: int) -> None:
        """torchvision's network called `name`, and, where asked for, what it learned from COCO.

        last: parts of the names of the layers whose size follows from the classes. sizes: of torchvision's constructor.
        """
        self.mean, self.std = imagenet_pixels(channels)
        self.network = torchvision.models.get_model(name, weights=None, weights_backbone=None, **sizes)
        take_channels(self.network, channels)
        if weights == "auto":
            names = (own for own, _ in self.network.named_parameters())
            head = tuple(own for own in names if any(part in own for part in last))
            load_imagenet(self, name, head=head, learned_from="COCO")
            if self.pretrained and name.endswith("_resnet50_fpn"):
                exact_variances(self.network.backbone)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = self.network.backbone(images)
        named = {f"map_{name}": x for name, x in maps.items()}
        if self.training:
            return {"images": images, **named}
        size = (images.shape[-2], images.shape[-1])
        raw = self._propose(list(maps.values()), size)
        raw |= self._judge(self.pooled_maps(maps), raw, size)
        raw |= self._candidates(raw, size)
        return raw | self.describe(self.pooled_maps(maps), raw, size)

    def describe(self, maps: list[Tensor], found: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """What else the task asks of the candidates `found`."""
        return {}

    def pooled_maps(self, maps: dict[str, Tensor]) -> list[Tensor]:
        """Those that regions are cut from: not the coarsest, which is made for proposals only."""
        return [x for name, x in maps.items() if name in self.network.roi_heads.box_roi_pool.featmap_names]

    def _propose(self, maps: list[Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """objectness (N, A), deltas (N, A, 4) of `anchors` (A, 4), and the best R `proposals` (N, R, 4) with their
        `proposal_scores` (N, R), -1 where a row only fills up."""
        rpn, count = self.network.rpn, maps[0].shape[0]
        levels = grid_anchors(rpn.anchor_generator.cell_anchors, maps, size)
        flat = concat_box_prediction_layers(*rpn.head(maps))
        objectness, deltas = flat[0].float().view(count, -1), flat[1].float().view(count, -1, 4)
        found, start = [], 0
        for number, anchors in enumerate(levels):
            part = slice(start, start + len(anchors))
            score, place = best(objectness[:, part], rpn.pre_nms_top_n())
            boxes = move_boxes(pick(deltas[:, part], place), anchors[place], (1.0, 1.0, 1.0, 1.0))
            found.append((within(boxes, size), score.sigmoid(), torch.full_like(place, number)))
            start += len(anchors)
        boxes, scores, level = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        scores = torch.where(((boxes[..., 2:] - boxes[..., :2]) >= rpn.min_size).all(-1), scores, -1.0)
        alive, place = best(survivors(boxes, scores, level, iou=rpn.nms_thresh, size=size), rpn.post_nms_top_n())
        anchors = torch.cat(levels)
        answers = {"proposals": pick(boxes, place), "proposal_scores": alive}
        return {"objectness": objectness, "deltas": deltas, "anchors": anchors, **answers}

    def _judge(self, maps: list[Tensor], raw: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """class_logits (N, R, K + 1) and class_deltas (N, R, K + 1, 4) of the proposals, 0 in rows that fill up."""
        heads, proposals = self.network.roi_heads, raw["proposals"]
        rows = rows_where(raw["proposal_scores"].flatten() >= 0)
        pooled = pool_regions(maps, numbered(proposals)[rows], side=7, size=size)
        found = []
        for answer in heads.box_predictor(heads.box_head(pooled)):
            empty = answer.new_zeros((proposals.shape[0] * proposals.shape[1], answer.shape[1]), dtype=torch.float32)
            found.append(empty.index_copy(0, rows, answer.float()).view(*proposals.shape[:2], answer.shape[1]))
        return {"class_logits": found[0], "class_deltas": found[1].unflatten(-1, (-1, 4))}

    def _candidates(self, raw: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        deltas, proposals = raw["class_deltas"][:, :, 1:], raw["proposals"][:, :, None]
        boxes = within(move_boxes(deltas, proposals, _CODING), size)
        scores = raw["class_logits"].softmax(-1)[..., 1:] * (raw["proposal_scores"][..., None] >= 0)
        small = ((boxes[..., 2:] - boxes[..., :2]) < 1e-2).any(-1)
        found = class_candidates(boxes, torch.where(small, 0.0, scores), _BEFORE)
        scores = torch.where(found["scores"] > LOWEST, found["scores"], -1.0)
        iou = self.network.roi_heads.nms_thresh
        alive, place = best(survivors(found["boxes"], scores, found["labels"], iou=iou, size=size), CANDIDATES)
        chosen = {key: pick(found[key], place) for key in ("boxes", "labels")}
        return {**chosen, "scores": alive.clamp_min(0)}

    def loss(self, outputs: dict[str, Tensor], targets: DetectionTargets) -> Tensor:  # type: ignore[override]
        """torchvision's: objectness and place of the proposals, class and place of what is judged. In evaluation that
        is what was proposed; in training true boxes are judged, too."""
        truths = self.truths(targets)
        losses = self._evaluated(outputs, truths) if "objectness" in outputs else self._trained(outputs, truths)
        return torch.stack(list(losses.values())).sum()

    def truths(self, targets: DetectionTargets) -> Truths:
        return as_lists(targets)

    def _trained(self, outputs: dict[str, Tensor], truths: Truths) -> dict[str, Tensor]:
        maps = {name.removeprefix("map_"): x for name, x in outputs.items() if name.startswith("map_")}
        height, width = outputs["images"].shape[-2:]
        sizes = [(height, width)] * len(truths)
        proposals, first = self.network.rpn(ImageList(outputs["images"], sizes), maps, truths)
        _, second = self.network.roi_heads(maps, proposals, sizes, truths)
        found: dict[str, Tensor] = first | second
        return found

    def _evaluated(self, outputs: dict[str, Tensor], truths: Truths) -> dict[str, Tensor]:
        """The samples that the losses draw are the same at each call and leave chance elsewhere as it was."""
        device = outputs["anchors"].device
        with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device]):
            torch.manual_seed(0)
            return self.judged(outputs, truths)

    def judged(self, outputs: dict[str, Tensor], truths: Truths) -> dict[str, Tensor]:
        """The losses of what was proposed and found."""
        return self._proposal_losses(outputs, truths) | self._judged_losses(outputs, truths)

    def _proposal_losses(self, outputs: dict[str, Tensor], truths: Truths) -> dict[str, Tensor]:
        rpn, anchors = self.network.rpn, [outputs["anchors"]] * len(truths)
        labels, matched = rpn.assign_targets_to_anchors(anchors, truths)
        flat = outputs["objectness"].reshape(-1, 1), outputs["deltas"].reshape(-1, 4)
        objectness, place = rpn.compute_loss(*flat, labels, rpn.box_coder.encode(matched, anchors))
        return {"objectness": objectness, "proposals": place}

    def _judged_losses(self, outputs: dict[str, Tensor], truths: Truths) -> dict[str, Tensor]:
        heads = self.network.roi_heads
        real = [scores >= 0 for scores in outputs["proposal_scores"]]
        proposals = [boxes[rows] for boxes, rows in zip(outputs["proposals"], real, strict=True)]
        boxes = [truth["boxes"] for truth in truths]
        owners, labels = heads.assign_targets_to_proposals(proposals, boxes, [truth["labels"] for truth in truths])
        rows = heads.subsample(labels)
        wanted = [
            (b if len(b) else b.new_zeros(1, 4))[owner[row]] for b, owner, row in zip(boxes, owners, rows, strict=True)
        ]
        drawn = [boxes[row] for boxes, row in zip(proposals, rows, strict=True)]
        logits, deltas = (
            torch.cat([x[r][row] for x, r, row in zip(outputs[key], real, rows, strict=True)])
            for key in ("class_logits", "class_deltas")
        )
        chosen = [label[row] for label, row in zip(labels, rows, strict=True)]
        classes, place = fastrcnn_loss(logits, deltas.flatten(1), chosen, heads.box_coder.encode(wanted, drawn))
        return {"classes": classes, "boxes": place}

    def stages(self) -> Iterator[list[nn.Parameter]]:
        backbone = self.network.backbone
        if hasattr(backbone.body, "stages"):
            yield from backbone.body.stages()
        else:
            yield from parameter_stages(*backbone.body.children())
        yield from parameter_stages(backbone.fpn, self.network.rpn)
        yield from parameter_stages(nn.ModuleList(self.judges()))
        yield from parameter_stages(nn.ModuleList(self.predictors()))

    def judges(self) -> list[nn.Module]:
        """What comes between the regions and the last layers."""
        return [self.network.roi_heads.box_head]

    def predictors(self) -> list[nn.Module]:
        """The last layers: those whose size follows from the number of classes."""
        return [self.network.roi_heads.box_predictor]


def exact_variances(network: nn.Module) -> None:
    """Weights that were learned without the small number that normalisation adds to variances: taken off here."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
            layer.running_var -= layer.eps
