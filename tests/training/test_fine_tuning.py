"""What fine-tuning adds to the loop: folded normalisation, a head that fits at the start, the mirror test."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from manako.blocks.folding import conv_norm_pairs, fix_norms, same_function
from manako.models import create_model
from manako.samples.digits import load_digits
from manako.training.cache import ImageCache
from manako.training.head_start import fit_linear, head_inputs, linear_head, start_head
from manako.training.mirror import mirror_test
from manako.types import Frame, Labels, Sample


def model_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = create_model(name, task="classification", classes=3, channels=3, imgsz=32)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return model


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "vgg11_bn"])
def test_folding_changes_neither_outputs_nor_gradients(name: str) -> None:
    plain = model_of(name).double().eval()
    folded = copy.deepcopy(plain)
    if name == "vgg11_bn":
        assert plain.state_dict().keys() == folded.state_dict().keys()
    assert fix_norms(folded) == len(list(conv_norm_pairs(plain))) > 7
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    plain.eval(), folded.train()
    for module in folded.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    one, other = plain(images)["logits"], folded(images)["logits"]
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    one.square().sum().backward(), other.square().sum().backward()
    for (key, a), b in zip(plain.named_parameters(), folded.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None, key
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-9)
    assert plain.state_dict().keys() == folded.state_dict().keys()
    assert same_function(plain, folded.eval(), images)


def test_a_wrong_fold_is_noticed() -> None:
    plain = model_of("resnet18").eval()
    folded = copy.deepcopy(plain)
    fix_norms(folded)
    folded.network.bn1.running_mean += 1
    assert not same_function(plain, folded, torch.randn(2, 3, 32, 32))


def digits(count: int) -> tuple[ImageCache, np.ndarray]:
    images, labels = load_digits()
    picked = images[:count].repeat(4, 1).repeat(4, 2)[..., None].repeat(3, 3)
    samples = tuple(Sample(str(i), __file__, Labels.truth(int(c))) for i, c in enumerate(labels[:count]))  # type: ignore[arg-type]
    return ImageCache(picked, np.arange(count), samples, (Frame(32, 32),) * count), labels[:count]


def test_the_started_head_fits_the_features_it_saw() -> None:
    cache, labels = digits(120)
    model = create_model("resnet18", task="classification", classes=10, channels=3, imgsz=32)
    assert start_head(model, cache, labels, size=32, mirror=False)
    head = linear_head(model)
    assert head is not None
    inputs = head_inputs(model, head, cache, np.arange(120), size=32, mirror=False)
    with torch.inference_mode():
        right = head(torch.from_numpy(inputs)).argmax(1).numpy() == labels
    assert right.mean() > 0.9  # the head as it was drawn: about 0.1
    assert not start_head(model, cache, np.zeros(120, np.int64), size=32, mirror=False)


def test_mirrored_views_come_from_mirrored_images() -> None:
    cache, _ = digits(4)
    model = create_model("resnet18", task="classification", classes=10, channels=3, imgsz=32)
    head = linear_head(model)
    assert head is not None
    both = head_inputs(model, head, cache, np.arange(4), size=32, mirror=True)
    turned = ImageCache(np.ascontiguousarray(cache.images[:, :, ::-1]), cache.rows, cache.samples, cache.frames)
    np.testing.assert_allclose(
        both[4:], head_inputs(model, head, turned, np.arange(4), size=32, mirror=False), atol=1e-4
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_linear_fit_separates_what_is_separable(classes: int) -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(90) % classes
    centres = rng.normal(size=(classes, 6)) * 4
    features = (centres[truth] + rng.normal(size=(90, 6)) * 0.3).astype(np.float32)
    weight, bias = fit_linear(features, truth)
    assert weight.shape == (classes, 6) and bias.shape == (classes,)
    assert ((features @ weight.T + bias).argmax(1) == truth).all()


def test_mirroring_harms_digits_and_not_symmetric_images() -> None:
    cache, labels = digits(900)
    assert mirror_test(cache, labels).flips_harm
    symmetric = np.maximum(cache.images, cache.images[:, :, ::-1])
    same = mirror_test(ImageCache(symmetric, cache.rows, cache.samples, cache.frames), labels)
    assert not same.flips_harm and same.plain == same.mirrored
