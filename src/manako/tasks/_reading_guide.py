"""What is known of texts beforehand, as a guide for the beam: a lexicon, a language model, or both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from manako.tasks._language_model import BEGIN, END, LanguageModel

WEIGHT = 0.3  # of the language model beside the network; both chosen on lines of receipts kept from training
BONUS = 3.0  # for each character, times the weight: else a language model likes short texts best
_ENDS = -1  # in a tree of entries: one ends here

Tree = dict[int, Any]
State = tuple[tuple[Tree, ...], str]  # where we may be in the tree; the last characters


class ReadingGuide:
    """alphabet: the model's classes. lexicon: what a text may be: one entry, or several with a space between; None:
    anything. weight: of the language model's logarithms."""

    def __init__(
        self,
        alphabet: Sequence[str],
        *,
        lexicon: Iterable[str] | None = None,
        language_model: LanguageModel | None = None,
        weight: float = WEIGHT,
        bonus: float = BONUS,
    ) -> None:
        self._alphabet = alphabet
        self._model = language_model
        self._weight, self._bonus = weight, bonus
        place = {character: index + 1 for index, character in enumerate(alphabet)}
        self._space = place.get(" ", _ENDS)
        self._tree = None if lexicon is None else _tree(lexicon, place)

    def begin(self) -> State:
        return (() if self._tree is None else (self._tree,)), BEGIN

    def go_on(self, state: State, symbol: int) -> tuple[State, float] | None:
        nodes, context = state
        if self._tree is not None:
            further = [node[symbol] for node in nodes if symbol in node]
            if symbol == self._space and any(_ENDS in node for node in nodes):
                further.append(self._tree)
            if not further:
                return None
            nodes = tuple(further)
        if self._model is None:
            return (nodes, context), 0.0
        character = self._alphabet[symbol - 1]
        gain = self._model.log_probability(context, character) + self._bonus
        return (nodes, self._model.context(context + character)), self._weight * gain

    def end(self, state: State) -> float | None:
        nodes, context = state
        if self._tree is not None and not any(_ENDS in node for node in nodes):
            return None
        return self._weight * self._model.log_probability(context, END) if self._model else 0.0


def _tree(entries: Iterable[str], place: dict[str, int]) -> Tree:
    """Entries with a character that the model can't read are left out."""
    tree: Tree = {}
    for entry in entries:
        if not entry or any(character not in place for character in entry):
            continue
        node = tree
        for character in entry:
            node = node.setdefault(place[character], {})
        node[_ENDS] = {}
    return tree
