"""The adapter of torchvision's Keypoint R-CNN gives what torchvision gives, from one state dict."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints

from manako.models.keypoint_rcnn import SUBJECTS, KeypointRcnn
from manako.training.targets.pose import collate
from manako.types import Frame, Poses

SIZE = (64, 96)


def network() -> KeypointRcnn:
    torch.manual_seed(0)
    return KeypointRcnn(classes=5, channels=3, imgsz=96).eval()


@torch.inference_mode()
def test_boxes_scores_and_maps_are_torchvisions() -> None:
    model = network()
    theirs = model.network
    theirs.transform.min_size, theirs.transform.max_size = (SIZE[0],), SIZE[1]
    theirs.transform.image_mean, theirs.transform.image_std = [0.0] * 3, [1.0] * 3
    theirs.roi_heads.score_thresh = 0.01
    images = torch.randn(2, 3, *SIZE)
    ours = model(images)
    features = theirs.backbone(images)
    heads = theirs.roi_heads
    for row, found in enumerate(theirs(list(images))):
        count = min(len(found["boxes"]), SUBJECTS)
        assert count > 3
        torch.testing.assert_close(ours["scores"][row, :count], found["scores"][:count], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours["subjects"][row, :count], found["boxes"][:count], rtol=1e-4, atol=1e-3)
        one = {name: x[row : row + 1] for name, x in features.items()}
        pooled = heads.keypoint_roi_pool(one, [ours["subjects"][row]], [SIZE])
        maps = heads.keypoint_predictor(heads.keypoint_head(pooled))
        torch.testing.assert_close(ours["maps"][row], maps, rtol=1e-4, atol=1e-5)


def test_points_are_less_than_a_cell_from_torchvisions() -> None:
    """Torchvision enlarges the map and takes its highest place; here it is the mean of the peak."""
    model, random = network(), np.random.default_rng(0)
    low = torch.from_numpy(random.uniform(0, 30, (4, 2))).float()
    boxes = torch.cat([low, low + torch.from_numpy(random.uniform(20, 60, (4, 2))).float()], 1)
    place = torch.from_numpy(random.uniform(8, 48, (4, 5, 2))).float()
    cells = torch.arange(56) + 0.5
    far = [(cells - place[..., axis, None]).square() / 4 for axis in (0, 1)]
    maps = 12 - far[1].unsqueeze(-1) - far[0].unsqueeze(-2)
    ours = model.peaks(maps[None], boxes[None], torch.ones(1, 4))[0].transpose(0, 1)
    theirs, _ = heatmaps_to_keypoints(maps, boxes)
    cell = (boxes[:, 2:] - boxes[:, :2]).unsqueeze(1) / 56
    assert ((ours[..., :2] - theirs[..., :2]).abs() < cell.clamp_min(1.0)).all()
    exact = place / 56 * (boxes[:, 2:] - boxes[:, :2]).unsqueeze(1) + boxes[:, :2].unsqueeze(1)
    torch.testing.assert_close(ours[..., :2], exact, rtol=0, atol=0.3)


def test_candidates_of_one_box_belong_together() -> None:
    model = network()
    with torch.inference_mode():
        found = model(torch.randn(1, 3, *SIZE))
    limbs, scores = found["limbs"][0], found["scores"][0, :SUBJECTS]
    assert limbs.shape == (4, SUBJECTS, SUBJECTS)
    assert torch.equal(limbs[0].diagonal() > 0, scores > 0) and limbs.sum() == 4 * (scores > 0).sum()
    assert not found["peaks"][0][:, scores == 0].any()


def test_unlabelled_subjects_teach_nothing() -> None:
    xy = np.full((2, 5, 2), 20, np.float32)
    xy[1] = np.nan
    score = np.array([[1] * 5, [0] * 5], np.float32)
    boxes = np.array([[5, 5, 40, 40], [50, 5, 90, 60]], np.float32)
    targets = collate([Poses(boxes, xy, score, np.ones(2, np.float32))], [Frame(*SIZE)], classes=5, size=SIZE)
    (truth,) = network().truths(targets)
    assert truth["boxes"].tolist() == [[5, 5, 40, 40]] and truth["labels"].tolist() == [1]
    assert truth["keypoints"].shape == (1, 5, 3)


def test_the_published_network_is_torchvisions() -> None:
    with torch.device("meta"):
        model = KeypointRcnn(classes=17, channels=3, imgsz=640, network="keypointrcnn_resnet50_fpn")
    # 53,120 scales and shifts of normalisation are no parameters in torchvision, where they are held fixed.
    assert sum(p.numel() for p in model.network.parameters()) == 59_137_258 + 53_120
