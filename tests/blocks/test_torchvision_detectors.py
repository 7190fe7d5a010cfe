"""The adapters of torchvision's detectors against torchvision itself, from one state dict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops import boxes as box_ops

from manako.blocks.anchors import grid_anchors
from manako.blocks.candidates import numbered, pool_regions, survivors
from manako.blocks.detectors import as_lists
from manako.blocks.model import Model
from manako.models import create_model
from manako.tasks.detection import best_candidates
from manako.training.targets.detection import DetectionTargets

CLASSES = 4


def varied(name: str, imgsz: int, *, task: str = "detection") -> Model:
    """A model whose answers differ from place to place: fresh ones say nearly the same everywhere."""
    torch.manual_seed(3)
    model = create_model(name, task=task, classes=CLASSES, channels=3, imgsz=imgsz)
    with torch.no_grad():
        model.train()
        for norm in model.modules():
            if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
                norm.momentum = 1.0
        model(pictures(imgsz, imgsz))
        for part, parameter in model.named_parameters():
            if parameter.ndim > 1 and any(key in part for key in ("cls_score", "rpn.head.cls_logits")):
                parameter.mul_(4.0)
            elif "rpn.head.bbox_pred" in part:  # regions of a few pixels would all look alike
                parameter.mul_(0.1)
    return model.eval()


def pictures(height: int, width: int) -> Tensor:
    """(2, 3, H, W) blots of colour: noise looks the same everywhere to a network."""
    small = torch.randn(2, 3, height // 8, width // 8)
    return 2 * torch.nn.functional.interpolate(small, size=(height, width), mode="bilinear")


def targets() -> DetectionTargets:
    boxes = torch.tensor([[[10.0, 12, 60, 70], [50, 20, 90, 50]], [[5.0, 5, 40, 90], [0, 0, 0, 0]]])
    valid = torch.tensor([[True, True], [True, False]])
    return DetectionTargets(boxes, torch.tensor([[0, 3], [2, 0]]), valid, torch.zeros_like(valid))


def as_torchvision_wants(network: Any, side: int) -> Any:
    """Without its own resizing and normalisation, which Manako does elsewhere."""
    network.transform.min_size, network.transform.max_size = (side,), side
    network.transform.fixed_size = None
    network.transform.image_mean, network.transform.image_std = [0.0] * 3, [1.0] * 3
    network.transform.size_divisible = 1
    network.transform.torch_choice = lambda sizes: sizes[0]  # which draws from the same chance as the samples
    return network


@pytest.mark.parametrize(("name", "side"), [("ssd300_vgg16", 300), ("ssdlite320_mobilenet_v3_large", 320)])
def test_ssd(name: str, side: int) -> None:
    model = varied(name, side)
    network = as_torchvision_wants(model.network, side)
    images, some = pictures(side, side), targets()
    with torch.no_grad():
        mine = model(images)
        network.train()
        for norm in network.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.eval()
        wanted = network(list(images), as_lists(some))
        network.eval()
        network.score_thresh, network.topk_candidates = _cut(mine["scores"]), 1000
        found = network(list(images))
    assert model.loss(mine, some).item() == pytest.approx(sum(wanted.values()).item(), rel=1e-5)
    for i, each in enumerate(found):
        scores, labels = mine["scores"][i].numpy(), mine["labels"][i].numpy()
        kept = best_candidates(mine["boxes"][i].numpy(), scores, labels, iou=network.nms_thresh)
        kept = kept[scores[kept] > network.score_thresh][: network.detections_per_img]
        np.testing.assert_allclose(scores[kept], each["scores"].numpy(), atol=1e-5)
        np.testing.assert_allclose(mine["boxes"][i].numpy()[kept], each["boxes"].numpy(), atol=1e-3)


def _cut(scores: Tensor) -> float:
    """A threshold that all hundred best of both images pass, and none below the last candidate."""
    return float(scores[:, 300].max())


FASTER = ["fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_lite0_fpn"]


@pytest.mark.parametrize("name", FASTER)
def test_faster_rcnn(name: str) -> None:
    model = varied(name, 96)
    network = as_torchvision_wants(model.network, 128)
    network.roi_heads.score_thresh = 0.01
    network.roi_heads.nms_thresh = 1.0  # of regions that score the same either may be left; suppression is tested below
    images = pictures(96, 128)
    proposals: list[list[Tensor]] = []
    network.rpn.register_forward_hook(lambda module, given, answer: proposals.append(answer[0]))
    with torch.no_grad():
        mine, found = model(images), network(list(images))
    for i, each in enumerate(found):
        wanted = proposals[0][i]
        each["labels"] -= 1
        assert (mine["proposal_scores"][i] >= 0).sum() == len(wanted) > 20
        torch.testing.assert_close(mine["proposals"][i][: len(wanted)], wanted, atol=1e-3, rtol=0)
        torch.testing.assert_close(mine["scores"][i], each["scores"], atol=1e-5, rtol=0)
        above = each["scores"] > each["scores"].min() + 1e-5  # of equal scores, either may be the hundredth
        rows = [
            torch.cat([o["boxes"] / 128, o["scores"][:, None], o["labels"][:, None]], 1) for o in (each, one(mine, i))
        ]
        assert above.sum() > 50 and torch.cdist(rows[0][above], rows[1], p=torch.inf).amin(1).max() < 1e-5


def one(outputs: dict[str, Tensor], image: int) -> dict[str, Tensor]:
    return {key: outputs[key][image] for key in ("boxes", "scores", "labels")}


def test_the_losses_of_faster_rcnn() -> None:
    """In training they are torchvision's; a look draws the same samples each time and touches no chance elsewhere."""
    model, some = varied("fasterrcnn_lite0_fpn", 96), targets()
    network = as_torchvision_wants(model.network, 96)
    images = pictures(96, 96)
    model.train()
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.eval()
    with torch.no_grad():
        torch.manual_seed(5)
        mine = model.loss(model(images), some).item()
        torch.manual_seed(5)
        wanted = sum(network(list(images), as_lists(some)).values()).item()
        assert mine == pytest.approx(wanted, rel=1e-5)
        model.eval()
        before = torch.random.get_rng_state()
        outputs = model(images)
        looks = {model.loss(outputs, some).item() for _ in range(2)}
        assert len(looks) == 1 and np.isfinite(looks.pop())
        assert torch.equal(before, torch.random.get_rng_state())
        empty = DetectionTargets(some.boxes, some.labels, some.valid & False, some.ignore)
        assert np.isfinite(model.loss(outputs, empty).item())
        assert np.isfinite(model.loss(model.train()(images), empty).item())


def test_anchors_and_pooling_are_those_of_torchvision() -> None:
    model = varied("fasterrcnn_lite0_fpn", 96)
    network: Any = model.network
    images = torch.randn(2, 3, 96, 160)
    with torch.no_grad():
        maps = network.backbone(images)
    generator = network.rpn.anchor_generator
    wanted = generator(ImageList(images, [(96, 160)] * 2), list(maps.values()))[0]
    mine = torch.cat(grid_anchors(generator.cell_anchors, list(maps.values()), (96, 160)))
    assert torch.equal(mine, wanted)
    corner = torch.rand(2, 40, 2) * 60
    boxes = torch.cat([corner, corner + torch.rand(2, 40, 2) * 90 + 1], -1)
    pooled = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)(maps, list(boxes), [(96, 160)] * 2)
    own = pool_regions(list(maps.values())[:4], numbered(boxes), side=7, size=(96, 160))
    torch.testing.assert_close(own, pooled, atol=1e-5, rtol=0)


def test_suppression_by_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Image by image, and all at once as in an exported graph."""
    torch.manual_seed(0)
    corner = torch.rand(3, 80, 2) * 60
    boxes = torch.cat([corner, corner + torch.rand(3, 80, 2) * 30 + 1], -1)
    scores, groups = torch.rand(3, 80), torch.randint(0, 4, (3, 80))
    one = survivors(boxes, scores, groups, iou=0.5, size=(100, 100))
    for i in range(3):
        kept = box_ops.batched_nms(boxes[i], scores[i], groups[i], 0.5)
        assert sorted(kept.tolist()) == (one[i] >= 0).nonzero().flatten().tolist()
    monkeypatch.setattr("torch.compiler.is_exporting", lambda: True)
    assert torch.equal(survivors(boxes, scores, groups, iou=0.5, size=(100, 100)), one)


@pytest.mark.parametrize("name", ["ssd300_vgg16", "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2"])
def test_the_state_dict_is_torchvisions(name: str) -> None:
    import torchvision

    with torch.device("meta"):
        model = create_model(name, task="detection", classes=90, channels=3, imgsz=300)
        wanted = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=91).state_dict()
    own = {key.removeprefix("network."): value.shape for key, value in model.state_dict().items()}
    assert own == {key: value.shape for key, value in wanted.items()}


def test_mask_rcnn() -> None:
    """Masks of what was found, and the losses of training."""
    from manako.training.targets.instances import InstanceTargets
    from manako.training.targets.segmentation import SegmentationTargets

    model = varied("maskrcnn_lite0_fpn", 96, task="instances")
    network, images, some = as_torchvision_wants(model.network, 96), pictures(96, 96), targets()
    network.roi_heads.score_thresh = 0.01
    small: list[Any] = []
    network.roi_heads.register_forward_hook(
        lambda module, given, answer: small.append([dict(found) for found in answer[0]])
    )
    with torch.no_grad():
        mine = model(images)
        network(list(images))
    for i, each in enumerate(small[0]):
        count = len(each["scores"])
        assert count > 20 and torch.equal(mine["labels"][i][:count] + 1, each["labels"])
        torch.testing.assert_close(mine["masks"][i][:count], each["masks"][:, 0], atol=1e-5, rtol=0)
        assert not mine["masks"][i][count:].any()
    regions = torch.full((2, 96, 96), 255, dtype=torch.uint8)
    for image, row in ((0, 0), (0, 1), (1, 0)):
        left, top, right, bottom = some.boxes[image, row].int().tolist()
        regions[image, top:bottom, left:right] = row
    truth = InstanceTargets(some, SegmentationTargets(regions))
    with torch.no_grad():
        looked = model.loss(mine, truth)
        model.train()
        for norm in model.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.eval()
        torch.manual_seed(5)
        learned = model.loss(model(images), truth).item()
        torch.manual_seed(5)
        assert learned == pytest.approx(sum(network(list(images), model.truths(truth)).values()).item(), rel=1e-5)
    assert looked.isfinite()
