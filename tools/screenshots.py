"""Draw every picture of the READMEs again, in both languages: `make screenshots` (needs Chromium)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from manako.fonts import draw_text, text_width

IMAGES = Path(__file__).parent.parent / "docs" / "images"
LESSONS = ("perceptron", "gradient-descent", "convolution", "learning-curves", "cnn", "k-means")
GROUND, LINE, TEXT, ACCENT = "#FFFFFF", "#D5DAE0", "#1B1F24", "#0072B2"
WORDS = {
    "en": (
        "your images",
        "manako train",
        "a report that explains",
        "drawn predictions",
        "model.onnx: no PyTorch needed",
    ),
    "ja": ("自分の画像", "manako train", "説明してくれるレポート", "描画した予測", "model.onnx: PyTorch 不要"),
}


def manako(*words: str, language: str) -> None:
    environment = {**os.environ, "MANAKO_LANG": language}
    subprocess.run([sys.executable, "-m", "manako", *words], check=True, env=environment, stdout=subprocess.DEVNULL)


def screenshot(page: Path, target: Path, *, width: int, height: int) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("Chromium is needed to draw the pictures of pages.")
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
        window = [f"--window-size={width},{height}", f"--screenshot={target}"]
        subprocess.run([browser, *flags, *window, page.resolve().as_uri()], check=True, capture_output=True)
    reduce(target)


def reduce(path: Path) -> None:
    """Fewer colours: flat pages look the same and take a third of the space."""
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def grid(files: list[Path], columns: int, side: int, gap: int = 8) -> Image.Image:
    rows = -(-len(files) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) - gap, rows * (side + gap) - gap), GROUND)
    for index, file in enumerate(files):
        picture = Image.open(file).convert("RGB")
        picture.thumbnail((side, side))
        picture = picture.resize((side, side)) if max(picture.size) < side else picture
        x, y = index % columns * (side + gap), index // columns * (side + gap)
        sheet.paste(picture, (x + (side - picture.width) // 2, y + (side - picture.height) // 2))
    return sheet


def overview(demo: Path, report: Path, language: str) -> Image.Image:
    """Images -> report, predictions, exported model, in one picture."""
    images, verb, page, predictions, exported = WORDS[language]
    canvas = Image.new("RGB", (1280, 520), GROUND)
    draw = ImageDraw.Draw(canvas)
    data = [sorted((demo / "data" / "train" / str(digit)).iterdir())[i] for i in range(2) for digit in range(10)]
    left = grid(data[:20], columns=4, side=64)
    canvas.paste(left, (24, 84))
    label(draw, images, 24, 40)
    arrow(draw, 330, 250, 450)
    label(draw, verb, 390 - text_width(verb, 18) / 2, 210, 18)
    top = Image.open(report).convert("RGB").crop((0, 0, 1280, 940)).resize((490, 360), Image.Resampling.LANCZOS)
    canvas.paste(top, (474, 84))
    draw.rectangle((473, 83, 964, 444), outline=LINE)
    label(draw, page, 474, 40)
    drawn = sorted((demo / "predictions" / "pictures").rglob("*.*"))[:: max(1, 266 // 6)][:6]
    canvas.paste(grid(drawn, columns=2, side=112), (1004, 84))
    label(draw, predictions, 1004, 40)
    label(draw, exported, 474, 466)
    return canvas


def label(draw: ImageDraw.ImageDraw, text: str, x: float, y: float, size: int = 20) -> None:
    draw_text(draw, x, y + size, text, size=size, fill=TEXT)


def arrow(draw: ImageDraw.ImageDraw, start: int, y: int, end: int) -> None:
    draw.line((start, y, end - 12, y), fill=ACCENT, width=6)
    draw.polygon([(end, y), (end - 20, y - 14), (end - 20, y + 14)], fill=ACCENT)


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    for language in ("en", "ja"):
        suffix = "" if language == "en" else f".{language}"
        with tempfile.TemporaryDirectory() as folder:
            demo, lessons = Path(folder) / "demo", Path(folder) / "lessons"
            manako("demo", "--out", str(demo), language=language)
            report = IMAGES / f"report{suffix}.png"
            screenshot(demo / "run" / "report.html", report, width=1280, height=1700)
            picture = IMAGES / f"overview{suffix}.png"
            overview(demo, report, language).save(picture, optimize=True)
            for topic in LESSONS:
                manako("learn", topic, "--out", str(lessons), language=language)
            figures = [next(iter(sorted(lessons.rglob(f"*{topic}*.png")))) for topic in LESSONS]
            grid(figures, columns=3, side=410, gap=16).save(IMAGES / f"learn{suffix}.png")
            reduce(IMAGES / f"learn{suffix}.png")


if __name__ == "__main__":
    main()
