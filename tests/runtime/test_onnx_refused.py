"""An ONNX file from a stranger: whatever is more than a plain graph is refused before ONNX Runtime sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from manako.errors import ModelFileError
from manako.runtime.card import ModelCard
from manako.runtime.onnx_engine import OnnxEngine
from manako.runtime.onnx_file import checked_onnx
from manako.training.export import ExportResult


def external(model: onnx.ModelProto, tensor: TensorProto, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def external_weight(model: onnx.ModelProto) -> None:
    external(model, model.graph.initializer[0], "/etc/passwd")


def external_weight_without_flag(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="weights.bin")


def only_the_flag(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def external_constant(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("c", TensorProto.FLOAT, [1], [1.0])
    external(model, tensor, "../secret")
    model.graph.node.add(op_type="Constant", output=["c"]).attribute.append(helper.make_attribute("value", tensor))


def external_in_a_sparse_weight(model: onnx.ModelProto) -> None:
    external(model, model.graph.sparse_initializer.add().values, "x")


def custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node.add(op_type="Run", domain="evil.ops", output=["e"])


def custom_operator_set(model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="com.microsoft", version=1)


def local_function(model: onnx.ModelProto) -> None:
    model.functions.add(name="Relu", domain="")


def subgraph(model: onnx.ModelProto) -> None:
    loop = model.graph.node.add(op_type="Loop", output=["e"])
    loop.attribute.append(helper.make_attribute("body", onnx.GraphProto()))


def subgraphs(model: onnx.ModelProto) -> None:
    loop = model.graph.node.add(op_type="If", output=["e"])
    loop.attribute.append(helper.make_attribute("body", [onnx.GraphProto()]))


def training_graph(model: onnx.ModelProto) -> None:
    model.training_info.add()


def runtime_settings(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="ort_config", value="{}")


def two_cards(model: onnx.ModelProto) -> None:
    model.metadata_props.append(model.metadata_props[0])


def no_card(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


REFUSED = [
    (external_weight, "onnx.refused"),
    (external_weight_without_flag, "onnx.refused"),
    (only_the_flag, "onnx.refused"),
    (external_constant, "onnx.refused"),
    (external_in_a_sparse_weight, "onnx.refused"),
    (custom_operator, "onnx.refused"),
    (custom_operator_set, "onnx.refused"),
    (local_function, "onnx.refused"),
    (subgraph, "onnx.refused"),
    (subgraphs, "onnx.refused"),
    (training_graph, "onnx.refused"),
    (runtime_settings, "onnx.no_card"),
    (two_cards, "onnx.damaged"),
    (no_card, "onnx.no_card"),
]


@pytest.mark.parametrize(("change", "code"), REFUSED, ids=lambda value: getattr(value, "__name__", value))
def test_more_than_a_plain_graph_is_refused_unopened(
    change: Callable[[onnx.ModelProto], None],
    code: str,
    exported: ExportResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = onnx.load(exported.path)
    change(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "weights.bin").symlink_to("/etc/passwd")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("ONNX Runtime was asked to open it")

    monkeypatch.setattr(onnxruntime, "InferenceSession", never)
    with pytest.raises(ModelFileError) as caught:
        OnnxEngine(path)
    assert caught.value.code == code and str(path) in str(caught.value)


def test_no_other_file_is_opened(exported: ExportResult, tmp_path: Path) -> None:
    """By the audit of Python, which sees every open of Python's; ONNX Runtime is not asked (the test above)."""
    model = onnx.load(exported.path)
    external_weight(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    code = f"""if True:
        import sys
        from manako.errors import ModelFileError
        from manako.runtime.onnx_engine import OnnxEngine
        import onnxruntime
        opened = []
        def audit(event, arguments):
            if event in ("open", "os.open", "socket.connect", "subprocess.Popen", "os.system", "exec"):
                opened.append((event, str(arguments[0])))
        sys.addaudithook(audit)
        try:
            OnnxEngine({str(path)!r})
        except ModelFileError as error:
            code = error.code
        print(code, [o for o in opened if o[1] != {str(path)!r}])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "onnx.refused []", done.stdout + done.stderr


def rewritten(path: Path, exported: ExportResult, **changes: object) -> Path:
    """The exported model with another card."""
    model = onnx.load(exported.path)
    record = json.loads(model.metadata_props[0].value) | changes
    model.metadata_props[0].value = json.dumps(record)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"task": "../../etc"}, "onnx.task"),
        ({"preprocess": {"height": 32, "width": 16, "fit": "crop", "crop_fraction": 1.0, "channels": 1}}, "onnx.shape"),
        ({"preprocess": {"height": 16, "width": 16, "fit": "crop", "crop_fraction": 1.0, "channels": 3}}, "onnx.shape"),
        ({"classes": ["a", "b"]}, "onnx.shape"),
        ({"classes": ["a", "a"]}, "card.field"),
        ({"format_version": 99}, "card.version"),
        ({"settings": {"temperature": "hot"}}, "card.field"),
    ],
    ids=str,
)
def test_a_card_that_lies_is_found(
    changes: dict[str, object], code: str, exported: ExportResult, tmp_path: Path
) -> None:
    path = rewritten(tmp_path / "m.onnx", exported, **changes)
    with pytest.raises(ModelFileError) as caught:
        OnnxEngine(path)
    assert caught.value.code == code


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux names open files")
def test_what_was_checked_is_what_is_opened(exported: ExportResult, tmp_path: Path) -> None:
    """Another file takes the name between the check and the opening."""
    path = tmp_path / "m.onnx"
    path.write_bytes(exported.path.read_bytes())
    with checked_onnx(path) as (name, card):
        (tmp_path / "other").write_bytes(b"another")
        (tmp_path / "other").replace(path)
        assert card.model == "digit_net"
        assert onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"]).get_inputs()


def test_opening_takes_little_memory(tmp_path: Path) -> None:
    """Less than twice the file and 200 MB: a network of 60 MB, in a process of its own."""
    code = f"""if True:
        import numpy as np, onnx, onnxruntime
        from onnx import TensorProto, helper, numpy_helper
        from manako.images import Preprocess
        from manako.runtime.card import ModelCard
        from manako.runtime.onnx_engine import OnnxEngine
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from peak_memory import peak_kilobytes
        path = {str(tmp_path / "large.onnx")!r}
        if sys.argv[1] == "write":
            weight = numpy_helper.from_array(np.zeros((64 * 64 * 3, 1220), np.float32), "w")
            last = numpy_helper.from_array(np.zeros((1220, 2), np.float32), "l")
            nodes = [
                helper.make_node("Cast", ["images"], ["x"], to=TensorProto.FLOAT),
                helper.make_node("Flatten", ["x"], ["f"]),
                helper.make_node("MatMul", ["f", "w"], ["h"]),
                helper.make_node("MatMul", ["h", "l"], ["logits"]),
            ]
            images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 64, 64, 3])
            logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])
            graph = helper.make_graph(nodes, "g", [images], [logits], [weight, last])
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
            card = ModelCard("classification", "mlp", ("a", "b"), Preprocess(64, 64), (0.5,), (0.5,))
            model.metadata_props.add(key="manako", value=card.dumps())
            open(path, "wb").write(model.SerializeToString())
        else:
            before = peak_kilobytes()
            OnnxEngine(path, threads=1).run(np.zeros((1, 64, 64, 3), np.uint8))
            print((peak_kilobytes() - before) / 1024)"""
    for step in ("write", "open"):
        done = subprocess.run([sys.executable, "-c", code, step], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    size = (tmp_path / "large.onnx").stat().st_size / 2**20
    assert 55 < size < 65 and float(done.stdout) < 2 * size + 100


def test_a_broken_graph_is_one_error_and_no_chatter(
    exported: ExportResult, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Names that aren't UTF-8, an operator that doesn't exist: ONNX Runtime would print, and try again."""
    data = exported.path.read_bytes()
    path = tmp_path / "m.onnx"
    for old, new in ((b"Transpose", b"Trans\xff\xfese"), (b"Transpose", b"Transpase"), (b"images", b"ima\xffes")):
        path.write_bytes(data.replace(old, new))
        with pytest.raises(ModelFileError) as caught:
            OnnxEngine(path)
        assert caught.value.code == "onnx.damaged"
    assert capfd.readouterr() == ("", "")


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "empty.onnx").touch()
    began = time.monotonic()
    for name in ("pipe.onnx", "empty.onnx", "missing.onnx", "."):
        with pytest.raises(ModelFileError):
            OnnxEngine(tmp_path / name)
    assert time.monotonic() - began < 1


def test_every_cut_is_our_error(exported: ExportResult, tmp_path: Path) -> None:
    data = exported.path.read_bytes()
    path = tmp_path / "cut.onnx"
    step = max(1, len(data) // 150)
    for length in [*range(1, 40), *range(40, len(data), step), len(data) - 1]:
        path.write_bytes(data[:length])
        began = time.monotonic()
        with pytest.raises(ModelFileError) as caught:
            checked_onnx(path).__enter__()
        assert str(caught.value) and time.monotonic() - began < 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_bytes_are_our_error_or_harmless(exported: ExportResult, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(exported.path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.onnx"
    path.write_bytes(content)
    try:
        OnnxEngine(path)
    except ModelFileError as error:
        assert str(error)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_our_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "any.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        OnnxEngine(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_card_is_good_or_our_error(exported: ExportResult, data: st.DataObject) -> None:
    record = json.loads(OnnxEngine(exported.path).card.dumps())
    name = data.draw(st.sampled_from([*record, "surplus"]))
    record[name] = data.draw(JSON)
    if isinstance(record.get("preprocess"), dict) and data.draw(st.booleans()):
        record["preprocess"] = {k: data.draw(JSON) for k in record["preprocess"]}
    try:
        card = ModelCard.loads(json.dumps(record), file="m.onnx")
    except ModelFileError as error:
        assert "m.onnx" in str(error) or error.code.startswith("preprocess")
    else:
        assert card.dumps()


def test_a_card_of_deep_nesting_is_our_error() -> None:
    for text in ("[" * 100_000, "{" * 10, "null", "[]", '{"format_version": 1}'):
        with pytest.raises(ModelFileError):
            ModelCard.loads(text, file="m.onnx")
