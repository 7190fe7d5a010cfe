"""How likely a character is after those before it, counted in texts: n-grams of characters, each length joined with the
shorter ones by Witten and Bell's rule (Bell, Cleary, Witten 1990, "Text Compression")."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

ORDER = 6
BEGIN, END = "\x02", "\x03"  # never in a line of text


class LanguageModel:
    """order: characters that are looked at together, the one in question included. alphabet: how many characters a
    text may hold; what was never seen shares what is left."""

    def __init__(self, texts: Iterable[str], *, alphabet: int, order: int = ORDER) -> None:
        self.order = order
        self._floor = 1.0 / (alphabet + 1)
        self._seen: dict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            whole = f"{BEGIN}{text}{END}"
            for place in range(1, len(whole)):
                for begin in range(max(0, place - order + 1), place + 1):
                    self._seen[whole[begin:place]][whole[place]] += 1
        self._totals = {context: (sum(seen.values()), len(seen)) for context, seen in self._seen.items()}
        self._known: dict[tuple[str, str], float] = {}

    def context(self, text: str) -> str:
        """As much of the end of `text` (begun with BEGIN) as is looked at."""
        return text[-(self.order - 1) :] if self.order > 1 else ""

    def log_probability(self, context: str, character: str) -> float:
        """Of `character` (END: the text ends) after `context`."""
        key = (context, character)
        if key not in self._known:
            self._known[key] = math.log(self._probability(context, character))
        return self._known[key]

    def _probability(self, context: str, character: str) -> float:
        shorter = self._probability(context[1:], character) if context else self._floor
        if context not in self._totals:
            return shorter
        total, kinds = self._totals[context]
        return (self._seen[context][character] + kinds * shorter) / (total + kinds)
