"""Stores of a third party that return no texts, or others than they were given."""

from dataclasses import replace

from adapters.base import Identity
from adapters.stores.exact import ExactSession, ExactStore


class MuteStore(ExactStore):
    name = "mute"
    returns_text = False


class LyingSession(ExactSession):
    def _search(self, queries, limit, filter):
        hits = super()._search(queries, limit, filter)
        return replace(hits, texts=[[f"{text}!" for text in texts] for texts in hits.texts]) if self.payload else hits


class LyingStore(ExactStore):
    name = "lying"

    @property
    def identity(self):
        return Identity("lying", "lying")

    def open(self, ref):
        return LyingSession(ref, self.held(ref))
