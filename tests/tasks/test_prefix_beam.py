"""The prefix beam against all paths there are; lexicon and language model against slow ones."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from manako.tasks._language_model import END, LanguageModel
from manako.tasks._prefix_beam import character_scores, prefix_beam
from manako.tasks._reading_guide import ReadingGuide
from manako.tasks.ocr import best_path

ALPHABET = ("a", "b", " ")
Steps = st.tuples(st.integers(1, 5), st.integers(0, 2**32 - 1), st.sampled_from([0.2, 1.0, 4.0]))


def chances(steps: int, seed: int, sharpness: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Random probabilities of a blank and three characters, surest first, as a network gives them."""
    logits = sharpness * np.random.default_rng(seed).normal(size=(steps, len(ALPHABET) + 1))
    all_of_them = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    order = np.argsort(-all_of_them, axis=1)
    return order, np.take_along_axis(all_of_them, order, 1).astype(np.float32)


def texts_of_all_paths(symbols: NDArray[np.int64], scores: NDArray[np.float32]) -> dict[tuple[int, ...], float]:
    """Each text with the probability of all paths that read so."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(symbols.shape[1]), repeat=len(symbols)):
        read = [int(symbols[step, place]) for step, place in enumerate(path)]
        text = tuple(s for s, _ in itertools.groupby(read) if s)
        found[text] += math.prod(float(scores[step, place]) for step, place in enumerate(path))
    return found


def spelt(text: tuple[int, ...]) -> str:
    return "".join(ALPHABET[s - 1] for s in text)


@given(Steps)
@settings(max_examples=60, deadline=None)
def test_the_likeliest_text_of_all(how: tuple[int, int, float]) -> None:
    symbols, scores = chances(*how)
    every = texts_of_all_paths(symbols, scores)
    found = prefix_beam(symbols, scores, width=10_000, least=0)
    assert found is not None and every[found] == pytest.approx(max(every.values()), rel=1e-6)


@given(Steps)
@settings(max_examples=40, deadline=None)
def test_with_a_lexicon_and_a_language_model(how: tuple[int, int, float]) -> None:
    symbols, scores = chances(*how)
    every = texts_of_all_paths(symbols, scores)
    model = LanguageModel(["ab", "ab a", "bb"], alphabet=3, order=3)
    entries = {"ab", "a", "bb", "a b"}

    def bonus(text: str) -> float:
        after = ["\x02" + text[:i] for i in range(len(text) + 1)]
        each = [model.log_probability(context[-2:], c) for context, c in zip(after, [*text, END], strict=True)]
        return 0.7 * (sum(each) + 0.4 * len(text))

    def allowed(text: str) -> bool:
        return text in entries or any(
            text[i] == " " and text[:i] in entries and allowed(text[i + 1 :]) for i in range(len(text))
        )

    ranks = {t: math.log(p) + bonus(spelt(t)) for t, p in every.items() if p > 0 and allowed(spelt(t))}
    guide = ReadingGuide(ALPHABET, lexicon=[*entries, "xyz"], language_model=model, weight=0.7, bonus=0.4)
    found = prefix_beam(symbols, scores, width=10_000, guide=guide, least=0)
    if not ranks:
        assert found is None
    else:
        assert found is not None and ranks[found] == pytest.approx(max(ranks.values()), rel=1e-5)


def test_a_beam_finds_what_the_best_path_misses() -> None:
    """The blank is the likeliest symbol of both steps, and yet "a" the likeliest text: .64 against .36."""
    symbols, scores = np.array([[0, 1], [0, 1]]), np.array([[0.6, 0.4], [0.6, 0.4]], np.float32)
    assert not len(best_path(symbols[:, 0], scores[:, 0]).class_id)
    assert prefix_beam(symbols, scores, width=4) == (1,)


@given(Steps, st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_characters_score_as_on_the_best_path_where_both_read_alike(how: tuple[int, int, float], more: int) -> None:
    symbols, scores = chances(how[0] + more, *how[1:])
    greedy = best_path(symbols[:, 0], scores[:, 0])
    text = tuple((greedy.class_id + 1).tolist())
    np.testing.assert_allclose(character_scores(text, symbols, scores), greedy.score, rtol=1e-6)


@given(st.lists(st.text("abc", max_size=6), max_size=6), st.text("abc", max_size=4), st.integers(1, 4))
def test_a_language_model_shares_out_one(texts: list[str], context: str, order: int) -> None:
    """All that may come next, the end and what was never seen included, is likely 1 together."""
    model = LanguageModel(texts, alphabet=3, order=order)
    following = model.context("\x02" + context)
    assert sum(math.exp(model.log_probability(following, c)) for c in [*"abc", END]) == pytest.approx(1)


def test_a_language_model_knows_what_it_has_seen() -> None:
    model = LanguageModel(["合計 500円", "合計 300円"], alphabet=20)
    assert model.log_probability("合", "計") > math.log(0.6) > model.log_probability("計", "合")
