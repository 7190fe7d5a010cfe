"""Losses of maps of classes against slow ones, and the networks against the libraries that have them too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
from torch import nn

from manako.blocks.model import Model
from manako.blocks.region_loss import LOSSES, region_loss
from manako.blocks.segmenter import Segmenter
from manako.errors import ConfigError
from manako.models import create_model, find_model, model_entries
from manako.models.unet import Published, mirrored
from manako.training.targets.segmentation import SegmentationTargets
from manako.types import IGNORE

SIZES = {"task": "segmentation", "channels": 3, "imgsz": 64}


def example(seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets, a fifth of them unknown; the last class doesn't occur."""
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 5, 6, generator=random, dtype=torch.float64)
    target = torch.randint(0, classes - 1, (2, 5, 6), generator=random)
    target[torch.rand(2, 5, 6, generator=random) < 0.2] = IGNORE
    return logits, target


def slow(name: str, logits: torch.Tensor, target: torch.Tensor, weights: np.ndarray) -> float:
    """One pixel at a time, from the definitions."""
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    y, classes = target.numpy(), logits.shape[1]
    known = [(n, i, j) for n, i, j in np.ndindex(*y.shape) if y[n, i, j] != IGNORE]
    if name in ("cross_entropy", "focal"):
        total = mass = 0.0
        for n, i, j in known:
            q, w = p[n, y[n, i, j], i, j], weights[y[n, i, j]]
            total += w * -np.log(q) * (1 if name == "cross_entropy" else (1 - q) ** 2)
            mass += w
        return total / mass
    total = mass = 0.0
    for k in range(classes):
        truth = np.array([float(y[place] == k) for place in known])
        found = np.array([p[n, k, i, j] for n, i, j in known])
        if not truth.any():
            continue
        if name == "dice":
            value = 1 - 2 * (truth * found).sum() / (truth.sum() + found.sum())
        else:  # the Lovász extension as a sum over the sets of the largest errors
            errors = np.abs(truth - found)
            order, value, before = np.argsort(-errors), 0.0, 0.0
            for count in range(1, len(order) + 1):
                wrong = np.zeros(len(order), bool)
                wrong[order[:count]] = True
                answered = np.where(wrong, 1 - truth, truth)
                jaccard = 1 - (truth * answered).sum() / np.maximum(truth, answered).sum()
                value += errors[order[count - 1]] * (jaccard - before)
                before = jaccard
        total, mass = total + weights[k] * value, mass + weights[k]
    return total / mass


@pytest.mark.parametrize(("name", "weighted", "seed"), [*itertools.product(LOSSES, (False, True), (0, 1))])
def test_losses_are_what_the_papers_say(name: str, weighted: bool, seed: int) -> None:
    logits, target = example(seed)
    weights = torch.tensor([0.5, 2.0, 1.2], dtype=torch.float64) if weighted else None
    expected = slow(name, logits, target, np.ones(3) if weights is None else weights.numpy())
    assert float(LOSSES[name](logits, target, weights)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_ignored_pixels_teach_nothing(name: str, weighted: bool) -> None:
    """The defect of other libraries: whatever stands at unknown pixels, loss and gradient are the same."""
    logits, target = example(3)
    weights = torch.tensor([0.5, 2.0, 1.2], dtype=torch.float64) if weighted else None
    unknown = (target == IGNORE)[:, None].expand_as(logits)
    losses, gradients = [], []
    for spoiled in (logits, torch.where(unknown, logits * -7 + 3, logits)):
        spoiled = spoiled.clone().requires_grad_()
        loss = LOSSES[name](spoiled, target, weights)
        loss.backward()
        losses.append(loss.item())
        assert spoiled.grad is not None
        gradients.append(spoiled.grad)
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)
    assert not gradients[0][unknown].any() and gradients[0][~unknown].any()
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", [*LOSSES, "cross_entropy+dice"])
def test_nothing_known_is_no_loss(name: str) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = region_loss(name, model="x")(logits, torch.full((1, 4, 4), IGNORE), None)
    loss.backward()
    assert loss.item() == 0.0 and logits.grad is not None and not logits.grad.any()


NAMES = [name for name, entry in model_entries().items() if "segmentation" in entry.tasks and name[-1] != ":"]


def small(name: str, *, imgsz: int = 64, **options: object) -> Model:
    """Fast to build: heads narrow, and all of the published networks."""
    narrow: dict[str, object] = {"width": 8} if "width" in find_model(name, "segmentation").options else {}
    return create_model(name, classes=3, options=narrow | options, **{**SIZES, "imgsz": imgsz})


@pytest.mark.parametrize("name", NAMES)
def test_every_model_takes_every_loss(name: str) -> None:
    """Alone and added up; weights of classes and unknown pixels reach each; an unknown one is refused in words."""
    for wrong in ("dise", "dice+", "dice,focal"):
        with pytest.raises(ConfigError) as caught:
            small(name, loss=wrong)
        assert "loss" in str(caught.value) and ", ".join(LOSSES) in str(caught.value)
    model = small(name, loss="lovasz")
    assert isinstance(model, Segmenter)
    logits, target = example(1)
    outputs = {"logits": logits}
    for names in (*LOSSES, "cross_entropy+dice", "focal + dice", "cross_entropy+lovasz"):
        model.region_loss = region_loss(names, model=name)
        plain = model.loss(outputs, SegmentationTargets(target.to(torch.uint8)))
        parts = [LOSSES[part.strip()](logits, target, None) for part in names.split("+")]
        assert float(plain) == pytest.approx(float(sum(parts)), rel=1e-9)
        weights = torch.tensor([0.2, 3.0, 1.0], dtype=torch.float64)
        assert float(model.loss(outputs, SegmentationTargets(target.to(torch.uint8), weights))) != float(plain)
        spoiled = torch.where((target == IGNORE)[:, None], logits * -5, logits)
        again = model.loss({"logits": spoiled}, SegmentationTargets(target.to(torch.uint8)))
        assert float(again) == pytest.approx(float(plain), abs=1e-12)


def test_the_published_network_is_the_published_one() -> None:
    with torch.device("meta"):
        network = Published(3, 2, width=64, depth=4, padded=False)
    assert sum(p.numel() for p in network.parameters()) == 31_031_810
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert len(shapes) == 46 and all(name.endswith((".weight", ".bias")) for name in shapes)
    for level, channels in enumerate((64, 128, 256, 512, 1024)):  # as documented, for weights from elsewhere
        before = channels // 2 if level else 3
        assert shapes[f"down.{level}.0.weight"] == (channels, before, 3, 3)
        assert shapes[f"down.{level}.2.weight"] == (channels, channels, 3, 3)
    for step, channels in enumerate((512, 256, 128, 64)):
        assert shapes[f"ups.{step}.weight"] == (2 * channels, channels, 2, 2)
        assert shapes[f"steps.{step}.0.weight"] == (channels, 2 * channels, 3, 3)
        assert shapes[f"steps.{step}.2.weight"] == (channels, channels, 3, 3)
    assert shapes["head.weight"] == (2, 64, 1, 1)
    assert (network.needed(388), network.needed(389)) == (572, 588)  # the paper's figure 1
    assert network(torch.empty(1, 3, 388, 300, device="meta")).shape == (1, 2, 388, 300)


def test_the_border_is_continued_by_mirroring() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    padded = nn.functional.pad(image, (1, 2, 1, 1), mode="reflect")
    assert torch.equal(mirrored(image, 5, 7), padded)
    far = mirrored(image, 31, 4)[0, 0, :, 0]
    assert set(far.tolist()) == {0.0, 4.0, 8.0} and far[14:17].tolist() == [0.0, 4.0, 8.0]
    assert all(abs(a - b) == 4 for a, b in itertools.pairwise(far.tolist()))


def test_without_padding_the_middle_needs_no_mirror() -> None:
    """Tiles with real surroundings give what the whole image gives (the paper's overlap-tile strategy)."""
    torch.manual_seed(0)
    network = Published(1, 2, width=4, depth=2, padded=False).eval()
    image = torch.randn(1, 1, 132, 132)
    with torch.no_grad():
        whole = network(image)
        part = network(image[..., 16:-16, 16:-16])  # a multiple of 4: poolings fall on the same pixels
    margin = 48
    torch.testing.assert_close(
        whole[..., margin:-margin, margin:-margin], part[..., margin - 16 : 16 - margin, margin - 16 : 16 - margin]
    )


def give(source: nn.Module, target: nn.Module) -> None:
    """Copy random tensors in their order, running statistics included."""
    torch.manual_seed(5)
    for value in source.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) * 0.5 + 0.1 if value.ndim == 1 else torch.randn_like(value) * 0.2)
    given, taken = source.state_dict(), target.state_dict()
    assert [v.shape for v in given.values()] == [v.shape for v in taken.values()]
    target.load_state_dict(dict(zip(taken, given.values(), strict=True)))


def assert_same(ours: nn.Module, theirs: nn.Module) -> None:
    images = torch.randn(8, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs.eval()(images)
        found = ours.eval()(images)["logits"]
    expected = expected["out"] if isinstance(expected, dict) else expected
    assert (found - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


def test_unet_is_that_of_segmentation_models_pytorch() -> None:
    theirs = smp.Unet("tu-resnet18", encoder_weights=None, classes=4)
    ours = create_model("unet:resnet18", classes=4, options={"detail": 0}, **SIZES)
    give(theirs, ours)
    assert_same(ours, theirs)


def test_pspnet_is_that_of_segmentation_models_pytorch() -> None:
    theirs = smp.PSPNet("tu-resnet18", encoder_weights=None, classes=4)
    ours = create_model("pspnet:resnet18", classes=4, options={"levels": 3}, **SIZES)
    give(theirs, ours)
    assert_same(ours, theirs)


def test_deeplab_v3plus_is_that_of_segmentation_models_pytorch() -> None:
    theirs = smp.DeepLabV3Plus("tu-resnet18", encoder_weights=None, classes=4)
    ours = create_model("deeplab:resnet18", classes=4, **SIZES)
    give(theirs, ours)
    assert_same(ours, theirs)


def test_deeplab_v3_is_torchvisions_with_its_auxiliary_loss() -> None:
    theirs = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=4, aux_loss=True
    )
    ours = create_model("deeplabv3_mobilenet_v3_large", classes=4, **SIZES)
    give(theirs, ours)
    assert_same(ours, theirs)
    images, target = torch.randn(2, 3, 64, 64), torch.randint(0, 4, (2, 64, 64), dtype=torch.uint8)
    ours.train()
    for module in ours.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    outputs = ours(images)
    both = ours.loss(outputs, SegmentationTargets(target))
    one, other = (ours.region_loss(outputs[key], target.long()) for key in ("logits", "auxiliary"))
    assert float(both.detach()) == pytest.approx(float((one + 0.5 * other).detach()), rel=1e-6)


def test_packaged_weights_reach_every_adapter() -> None:
    for name in ("unet", "pspnet", "deeplabv3plus"):
        model = create_model(name, classes=2, weights="auto", **SIZES)
        assert model.pretrained and "EfficientNet-Lite0" in model.notice
        stem = next(value for key, value in model.state_dict().items() if key.endswith("conv_stem.weight"))
        assert float(stem.std()) > 0.1 and stem.shape == (32, 3, 3, 3)


@pytest.mark.parametrize("name", NAMES)
def test_any_size_of_image(name: str) -> None:
    """An image is kept at its own scale where its sides are no multiples of anything; what is too small is refused."""
    with torch.device("meta"):
        model = small(name, imgsz=75)
    for height, width in ((75, 62), (73, 90), (33, 127), (32, 32)):
        outputs = model.eval()(torch.empty(2, 3, height, width, device="meta"))
        assert outputs["class_id"].shape == outputs["score"].shape == (2, height, width)
        assert model.train()(torch.empty(2, 3, height, width, device="meta"))["logits"].shape == (2, 3, height, width)
    with pytest.raises(ConfigError, match="at least 32 pixels"):
        small(name, imgsz=31)
