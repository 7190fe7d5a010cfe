"""Videos and cameras: every picture once with its time, the end they come to, memory that stays flat."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from simple_engines import COLOURS, NAMES, BlockEngine, Blocks

import manako
from manako.errors import ConfigError, DataError, MissingExtraError, StorageError, UsageError
from manako.runtime import video
from manako.runtime.ahead import Picture, Source, Unreadable
from manako.runtime.counting import Line, Zone, _side, _within, new_counting
from manako.runtime.options import PredictOptions
from manako.runtime.pipeline import predict_sources
from manako.runtime.predictor import Predictor
from manako.runtime.writer import write_results
from manako.types import Detections

cv2 = pytest.importorskip("cv2")
HEIGHT, WIDTH, RATE = 96, 160, 20.0


def write_video(path: Path, pictures: list[np.ndarray], *, code: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*code), RATE, pictures[0].shape[1::-1])
    for picture in pictures:
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()
    return path


def grey(count: int) -> list[np.ndarray]:
    """Picture k has grey level 4 k."""
    return [np.full((HEIGHT, WIDTH, 3), 4 * k, np.uint8) for k in range(count)]


def moving(count: int) -> list[np.ndarray]:
    """A red block that goes right and a green one that goes left, 3 pixels a picture; a blue one stays."""
    made = []
    for k in range(count):
        picture = np.full((HEIGHT, WIDTH, 3), 114, np.uint8)
        picture[8:32, 6 + 3 * k : 30 + 3 * k] = COLOURS[0]
        picture[40:64, 130 - 3 * k : 154 - 3 * k] = COLOURS[1]
        picture[70:90, 60:90] = COLOURS[2]
        made.append(picture)
    return made


def level(picture: Picture) -> float:
    return float(np.asarray(picture.image).mean())


@pytest.mark.parametrize(("name", "code"), [("a.mp4", "mp4v"), ("b.avi", "MJPG"), ("c.mkv", "mp4v")])
def test_every_picture_once_in_order_at_its_time(tmp_path: Path, name: str, code: str) -> None:
    path = str(write_video(tmp_path / name, grey(60), code=code))
    found = list(video.pictures(path))
    assert [p.number for p in found] == list(range(60)) and {p.video for p in found} == {path}
    assert [p.seconds for p in found] == pytest.approx([k / RATE for k in range(60)], abs=2e-3)
    levels = [level(p) for p in found]
    assert levels == pytest.approx([4 * k for k in range(60)], abs=8) and np.diff(levels).min() > 0
    third = list(video.pictures(path, every=3))
    assert [p.number for p in third] == list(range(0, 60, 3))
    assert [p.seconds for p in third] == pytest.approx([k / RATE for k in range(0, 60, 3)], abs=2e-3)
    assert found[0].image.mode == "RGB" and found[0].image.size == (WIDTH, HEIGHT) and found[0].rate == RATE


def test_colours_are_not_swapped(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [np.full((HEIGHT, WIDTH, 3), (200, 40, 90), np.uint8)] * 3)
    (first, *_) = video.pictures(str(path))
    assert np.asarray(first.image).mean((0, 1)) == pytest.approx([200, 40, 90], abs=6)


def broken(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    """Name, content, what is said."""
    whole = write_video(folder / "whole.mp4", grey(40)).read_bytes()
    motion = write_video(folder / "whole.avi", grey(40), code="MJPG").read_bytes()
    empty = cv2.VideoWriter(str(folder / "none.avi"), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 64))
    empty.release()
    yield "no_end.mp4", whole[: len(whole) // 2], "video.damaged"
    yield "cut.avi", motion[: len(motion) // 2], "video.cut_short"
    yield "empty.mp4", b"", "image.empty"
    yield "text.mp4", b"no video at all, but some text\n" * 20, "video.unknown_kind"
    # FFmpeg would open what such a list names, be it at another computer.
    yield "list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hosts\nhttp://127.0.0.1:9/a.ts\n" * 9, "video.unknown_kind"
    yield "noise.mkv", b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 20, "video.damaged"
    yield "none.avi", (folder / "none.avi").read_bytes(), "video."


def test_videos_that_are_none_or_end_early_harm_no_other(tmp_path: Path) -> None:
    cases = list(broken(tmp_path))
    for name, content, _ in cases:
        (tmp_path / name).write_bytes(content)
    good = tmp_path / "whole.mp4"
    sources: list[Source] = [*(tmp_path / name for name, *_ in cases), tmp_path / "absent.mp4", good]
    found = list(video.with_pictures(sources))
    said = {s.name: s.error.code for s in found if isinstance(s, Unreadable)}
    assert len(said) == len(cases) + 1 and said.pop(str(tmp_path / "absent.mp4")) == "image.missing"
    for name, _, code in cases:
        assert said[str(tmp_path / name)].startswith(code) and str(tmp_path / name) in " ".join(
            str(s.error) for s in found if isinstance(s, Unreadable)
        )
    numbers = [s.number for s in found if isinstance(s, Picture) and s.video == str(good)]
    assert numbers == list(range(40))
    early = [s.number for s in found if isinstance(s, Picture) and s.video.endswith("cut.avi")]
    assert 5 < len(early) < 35 and early == list(range(len(early)))  # what came before the end is used
    with pytest.raises(DataError, match="pixels"):
        list(video.pictures(str(good), max_pixels=1000))
    with pytest.raises(UsageError):
        list(video.pictures(str(good), every=0))


class Camera:
    """As OpenCV's, with a picture every 2 ms; ends after `count`."""

    def __init__(self, count: int = 10**6) -> None:
        self.left, self.released = count, False

    def isOpened(self) -> bool:
        return True

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: WIDTH, cv2.CAP_PROP_FRAME_HEIGHT: HEIGHT, cv2.CAP_PROP_FPS: 0.0}.get(
            what, -1.0
        )

    def grab(self) -> bool:
        time.sleep(0.002)
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def release(self) -> None:
        self.released = True


def test_a_camera_shows_what_is_now_and_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera()
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: camera)
    sources = video.with_pictures(["camera:0"])
    seen = []
    for picture in sources:
        assert isinstance(picture, Picture)
        seen.append(picture)
        time.sleep(0.05)  # a slow network
        if len(seen) == 12:
            break
    sources.close()  # type: ignore[attr-defined]
    assert camera.released and not [t for t in threading.enumerate() if t.name == "manako-video"]
    assert seen[-1].number > 60 and np.diff([p.seconds for p in seen]).min() > 0  # the others were let pass
    camera = Camera(5)
    found = list(video.with_pictures(["camera:0"]))
    assert isinstance(found[-1], Unreadable) and found[-1].error.code == "video.camera_gone"


def test_without_opencv_or_a_camera(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (absent,) = video.with_pictures(["camera:97"])
    assert isinstance(absent, Unreadable) and absent.error.code == "video.no_camera"
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"manako\[video\]"):
        predict_sources(Predictor(BlockEngine(96, 160), Blocks()), ["a.mp4"])
    (tmp_path / "a.mp4").touch()
    (found,) = predict_sources(Predictor(BlockEngine(96, 160), Blocks()), [tmp_path]).results
    assert isinstance(found.error, MissingExtraError)


def test_a_folder_without_images_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        predict_sources(Predictor(BlockEngine(96, 160), Blocks()), [tmp_path, "nothing*.png"])
    assert caught.value.code == "predict.nothing_found" and str(tmp_path) in str(caught.value)


def test_the_thread_stops_passes_errors_on_and_waits() -> None:
    made = 0

    def endless() -> Generator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    taken = video.from_thread(endless(), ahead=3)
    assert [next(taken) for _ in range(5)] == [1, 2, 3, 4, 5]
    time.sleep(0.05)
    assert made <= 5 + 3 + 2
    taken.close()
    assert not [t for t in threading.enumerate() if t.name == "manako-video"]

    def failing() -> Generator[int]:
        yield 1
        raise DataError("video.no_pictures", file="x")

    broken_off = video.from_thread(failing(), ahead=3)
    assert next(broken_off) == 1
    with pytest.raises(DataError):
        next(broken_off)


def test_a_written_video_is_read_again(tmp_path: Path) -> None:
    """With a picture left out in the middle, a pause, an odd size."""
    file = video.VideoFile(tmp_path / "deep" / "a.mp4", rate=10.0)
    for k in (0, 1, 2, 4, 5):
        file.add(Image.new("RGB", (65, 49), (40 * k, 0, 0)), 7 + k / 10)
    file.add(Image.new("RGB", (65, 49), (250, 0, 0)), 600.0)
    assert not file.file.exists()
    file.finish()
    found = list(video.pictures(str(file.file)))
    assert [p.image.size for p in found] == [(64, 48)] * 7
    reds = [float(np.asarray(p.image)[..., 0].mean()) for p in found]
    assert reds == pytest.approx([0, 40, 80, 160, 160, 200, 250], abs=8)  # the gap is filled by the next one
    assert [p.name for p in file.file.parent.iterdir()] == ["a.mp4"]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        video.VideoFile(tmp_path / "file" / "a.mp4", rate=10.0).add(Image.new("RGB", (64, 64)), 0)


def test_one_line_a_picture_a_drawn_video_numbers_and_counts(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = write_video(tmp_path / "in" / "street.avi", moving(40), code="MJPG")
    Image.fromarray(moving(1)[0]).save(tmp_path / "in" / "still.png")
    predictor = Predictor(BlockEngine(HEIGHT, WIDTH), Blocks())
    lines, zones = ["80,0,80,96"], ["50,60,100,60,100,96,50,96"]
    job = predict_sources(predictor, [tmp_path / "in"], PredictOptions(count_lines=lines, count_zones=zones))
    stream = io.StringIO()
    written = write_results(
        job.results,
        predictor,
        stream=stream,
        out=tmp_path / "out",
        draw=True,
        root=tmp_path / "in",
        readings=job.readings,
    )
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert rows[0]["image"].endswith("still.png") and "seconds" not in rows[0]
    frames = rows[1:]
    assert [r["image"] for r in frames] == [f"{path}#{k}" for k in range(40)]
    assert [r["seconds"] for r in frames] == pytest.approx([k / RATE for k in range(40)], abs=2e-3)
    for row in frames:
        assert {p["class"]: p["track"] for p in row["predictions"]} == {"red": 1, "green": 2, "blue": 3}
    # The centres (18 + 3 k and 142 - 3 k) pass x = 80 by a tenth of 24 pixels in pictures 22 and 22.
    crossings = [r["counts"]["line 1"] for r in frames]
    assert crossings[20] == {"to_right": 0, "to_left": 0} and crossings[-1] == {"to_right": 1, "to_left": 1}
    assert all(r["counts"]["zone 1"] == {"inside": 1, "entered": 1} for r in frames)
    assert (written.done, written.failed) == (41, 0)
    summary = written.as_json()["sequences"][-1]  # type: ignore[index]
    assert summary["sequence"] == str(path) and summary["pictures"] == 40
    # Seen from (80, 0), looking down, what goes right on the screen goes to the left hand.
    assert summary["counts"]["line 1"]["classes"] == {"to_right": {"green": 1}, "to_left": {"red": 1}}
    assert sorted(p.name for p in (tmp_path / "out" / "pictures").iterdir()) == ["still.png.jpg", "street.avi.mp4"]
    drawn = list(video.pictures(str(tmp_path / "out" / "pictures" / "street.avi.mp4")))
    assert len(drawn) == 40 and drawn[0].rate == RATE
    pixels = np.asarray(drawn[0].image).astype(int)
    assert pixels[8, 10:26].min() > 150 and pixels[12:60, 80].max() > 200  # the box, the line


@pytest.mark.parametrize("text", ["1,2,3", "1,2,1,2", "a,b,c,d", "", "1,2,3,4,5,6", "1,2,nan,4"])
def test_lines_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="count-line"):
        new_counting([text], [], NAMES)


@pytest.mark.parametrize("text", ["1,2,3,4", "1,2,3,4,5", "x"])
def test_zones_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="count-zone"):
        new_counting([], [text], NAMES)


def one(x: float, y: float, track: int = 1, size: float = 10) -> Detections:
    half = size / 2
    box = np.array([[x - half, y - half, x + half, y + half]], np.float32)
    return Detections(box, np.zeros(1, np.int64), np.ones(1, np.float32), track=np.array([track]))


number = st.integers(-40, 40).map(lambda v: v + 0.5)


@given(st.lists(st.tuples(number, number), min_size=2, max_size=12))
def test_crossings_equal_geometry(way: list[tuple[float, float]]) -> None:
    """A walk across a line from (0, -20) to (0, 20), against steps that change the sign of x within it. All steps are
    larger than the trembling that is left out."""
    line = Line.parse("0,-20,0,20", name="l")
    for x, y in way:
        line.see(one(x, y, size=1), NAMES)
    right = left = 0
    for (x0, y0), (x1, y1) in pairwise(way):
        if x0 * x1 < 0:
            at = y0 + (y1 - y0) * x0 / (x0 - x1)
            if -20 <= at <= 20:
                right, left = right + (x1 < 0), left + (x1 > 0)
    assert line.now() == {"to_right": right, "to_left": left}


@pytest.mark.parametrize(
    ("line", "shown"), [("5,9,5,0", "→0"), ("5,0,5,9", "←0"), ("0,5,9,5", "↓0"), ("9,5,0,5", "↑0")]
)
def test_arrows_of_a_line_point_where_its_right_hand_side_lies(line: str, shown: str) -> None:
    counted = Line.parse(line, name="line 1")
    assert counted.shown().startswith(shown)
    way = {"→": (2, 0), "←": (-2, 0), "↓": (0, 2), "↑": (0, -2)}[shown[0]]
    assert _side(counted.ends, counted.ends.mean(0) + way) > 0


def test_trembling_on_a_line_is_no_crossing() -> None:
    line = Line.parse("0,-50,0,50", name="l")
    for x in (-30, -10, 0.4, -0.4, 0.9, -0.9, 0.5, -3, 0.7):
        line.see(one(x, 0), NAMES)
    assert line.now() == {"to_right": 0, "to_left": 0}
    line.see(one(4, 0), NAMES)
    assert line.now() == {"to_right": 0, "to_left": 1}
    line.see(one(-4, 0, track=2), NAMES)  # another object, not one that came back
    assert line.now() == {"to_right": 0, "to_left": 1}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=3, max_size=7), number, number)
def test_zones_equal_filled_polygons(corners: list[tuple[int, int]], x: float, y: float) -> None:
    """Against the same polygon filled at the pixels' centres."""
    from manako.regions import mask_of
    from manako.types import Outline

    mask = mask_of(Outline((np.array(corners, np.float32),)), 31, 31)
    inside = 0 <= x < 31 and 0 <= y < 31 and bool(mask[int(y), int(x)])
    points = np.array(corners, np.float64)
    assert _within(points, np.array([x, y])) == inside
    zone = Zone("z", points)
    zone.see(one(x, y), NAMES)
    zone.see(one(x, y), NAMES)
    assert zone.now() == {"inside": int(inside), "entered": int(inside)}


def test_an_unknown_option_is_refused_before_the_model_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        manako.predict(tmp_path / "none.onnx", [tmp_path], tyle="auto")
    assert caught.value.facts["near"] == "tile"


_LONG = """
import io, sys, tracemalloc
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from peak_memory import peak_kilobytes
from simple_engines import BlockEngine, Blocks
from manako.runtime.options import PredictOptions
from manako.runtime.pipeline import predict_sources
from manako.runtime.predictor import Predictor
from manako.runtime.writer import write_results

class Lines(io.StringIO):
    count = 0
    def write(self, text):
        self.count += 1
        if self.count in (60, 300):
            print(tracemalloc.get_traced_memory()[0], peak_kilobytes() * 1024)
        return len(text)

class Engine(BlockEngine):
    seen = 0
    def _blocks(self, image):
        self.seen += 1
        rows = np.zeros((64, 6), np.float32)
        rows[0] = (self.seen, 100, self.seen + 90, 180, 0, 0.9)
        return rows

tracemalloc.start()
predictor = Predictor(Engine(480, 640), Blocks())
options = PredictOptions(track=True, count_lines=["320,0,320,480"])
job = predict_sources(predictor, [sys.argv[1]], options)
write_results(job.results, predictor, stream=Lines(), out=Path(sys.argv[3]), draw=True, readings=job.readings)
"""


def test_memory_stays_flat_over_a_long_video(tmp_path: Path) -> None:
    """300 pictures of 640 x 480 (0.9 MB each): from the 60th to the 300th, less than two pictures' memory more."""
    pictures = [np.full((480, 640, 3), k // 2, np.uint8) for k in range(300)]
    path = write_video(tmp_path / "long.avi", pictures, code="MJPG")
    command = [sys.executable, "-c", _LONG, str(path), str(Path(__file__).parent), str(tmp_path / "out")]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    (now, most), (then, most_then) = (map(int, line.split()) for line in output.stdout.splitlines())
    assert then - now < 2_000_000 and most_then - most < 20_000_000
    assert (tmp_path / "out" / "pictures").is_dir()


def test_interrupted_videos_are_marked_and_cameras_end_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", moving(30), code="MJPG")
    predictor = Predictor(BlockEngine(HEIGHT, WIDTH), Blocks())

    def stopped(source: str | Path) -> Any:
        for count, result in enumerate(predict_sources(predictor, [source]).results):
            if count == 8:
                raise KeyboardInterrupt
            yield result

    with pytest.raises(KeyboardInterrupt):
        write_results(stopped(path), predictor, out=tmp_path / "out", draw=True, root=tmp_path)
    names = sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert names == ["a.avi.partial.mp4", "predictions.jsonl.partial"]
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Camera())
    written = write_results(stopped("camera:0"), predictor, out=tmp_path / "live", endless=True)
    assert written.done == 8 and written.file and len(written.file.read_text().splitlines()) == 8
