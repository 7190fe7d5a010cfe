"""Text that fits."""

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from manako.figures.words import clean, shorten, wrap
from manako.fonts import draw_text, font, runs, text_width

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=60)


@given(TEXT, st.floats(30, 400))
def test_wrapped_lines_fit_and_lose_nothing(text, width):
    lines = wrap(text, 12, width)
    assert all(text_width(line, 12) <= width or len(line.strip()) <= 1 or _unbreakable(line) for line in lines)
    assert "".join("".join(lines).split()) == "".join(clean(text).split())


def _unbreakable(line: str) -> bool:
    """A sign that must not start or end a line may hang over the edge with its neighbour."""
    return len(line) > 1 and text_width(line[:-1], 12) <= 400


@given(TEXT, st.floats(30, 400))
def test_shortened_text_fits(text, width):
    assert text_width(shorten(text, 12, width), 12) <= width


def test_japanese_line_breaking():
    lines = wrap("学習曲線を読む。過学習を「早く」見つける。", 10, 80)
    assert len(lines) > 1
    assert not any(line[0] in "。」、" or line[-1] in "「" for line in lines)


def test_measured_width_is_the_drawn_width():
    for text in ("Loss ≥ θ → σ(x)", "学習率 η = 0.1", "AVATAR. To"):
        image = Image.new("L", (400, 60))
        draw_text(ImageDraw.Draw(image), 5, 40, text, size=24, fill=255)
        left, _, right, _ = image.getbbox()
        assert abs((right - left) - text_width(text, 24)) < 5


def test_every_sign_that_figures_use_has_a_glyph():
    missing = font(32).getmask("\U0010fffe").getbbox(), bytes(font(32).getmask("\U0010fffe"))
    for sign in "学習曲線をよむ カナ Ωθσ∂∑→←↑↓≤≥≠×−²₁✓⚠✖▲◔●■◆✚○ŷ":
        for name, piece in runs(sign):
            if piece.strip():
                mask = font(32, name).getmask(piece)
                assert (mask.getbbox(), bytes(mask)) != missing, sign


def test_japanese_has_glyphs() -> None:
    """All of JIS X 0208, and what people write beside it."""
    pairs = ((row, cell) for row in range(0xA1, 0xF5) for cell in range(0xA1, 0xFF))
    codes = "".join(bytes(pair).decode("euc_jp", "ignore") for pair in pairs) + "〒【】①㈱℃㎡￥％～ｱｶﾞ"
    assert len(codes) > 6_800
    nothing = {name: bytes(font(16, name).getmask("\U0010fffe")) for name in ("sans.otf", "symbols.ttf", "rare.ttf")}
    blank = {" ", "\u3000"}
    boxes = [c for name, piece in runs(codes) for c in piece if bytes(font(16, name).getmask(c)) == nothing[name]]
    assert set(boxes) <= blank
