"""Guesses what a user meant by an unknown word: first by its meaning, then by its spelling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from adapters.base import SAME_OPTIONS

# Words of other tools and of everyday speech that mean the same as a key here.
_SAME = (
    {"measures", "metrics", "metric", "measure", "scores", "eval", "evaluation"},
    {"encoders", "encoder", "models", "model", "embedders", "embedder", "embeddings", "embedding", "vectorizer"},
    {"stores", "store", "indexes", "indices", "index", "databases", "database", "db", "engines", "engine", "backends"},
    {"systems", "system", "retrievers", "pipelines", "runs", "candidates", "variants", "configurations"},
    {"rerankers", "reranker", "rerank", "rankers", "ranker", "cross_encoder", "cross_encoders"},
    {"generators", "generator", "llms", "llm", "chat", "language_models"},
    {"trackers", "tracker", "tracking", "loggers", "logger", "logging", "observability"},
    {"dataset", "data", "datasets", "corpus", "collection", "benchmark"},
    {"experiment", "name", "title", "id"},
    {"baseline", "reference", "control", "base", "compare_to", "against"},
    {"margin", "tolerance", "threshold", "epsilon", "delta"},
    {"query", "search", "search_options", "query_options", "search_params", "query_params"},
    {"index", "index_options", "index_params", "build", "build_options"},
    {"seed", "random_state", "random_seed", "rng"},
    {"max_cost", "budget", "cost_limit", "max_usd", "limit_usd"},
    {"builds", "repeats", "repetitions", "replicates", "trials", "runs"},
    {"latency", "timing", "performance", "load", "speed", "perf"},
    {"k", "top_k", "topk", "limit", "top", "n", "size", "num_results", "cutoff"},
    {"depth", "candidates", "num_candidates", "fetch_k", "pool", "top_n", "rerank_depth"},
    {"fuse", "fusion", "hybrid", "combine", "merge", "legs"},
    {"by", "method", "fusion_method", "strategy"},
    {"filter", "where", "filters", "condition", "conditions"},
    {"run", "run_file", "trec", "ranking", "rankings"},
    {"path", "file", "folder", "dir", "directory", "location", "data_dir", "filename", "root"},
    {"model", "model_name", "model_id", "checkpoint", "model_name_or_path"},
    {"adapter", "type", "provider", "kind", "backend", "driver", "engine"},
    {"workers", "threads", "concurrency", "clients", "parallelism", "users"},
    {"rate", "qps", "rps", "requests_per_second", "queries_per_second"},
    {"seconds", "duration", "time", "timeout"},
    {"samples", "requests", "queries", "num_queries", "iterations"},
    {"url", "uri", "base_url", "address", "endpoint", "host", "server"},
    {"api_key_env", "api_key", "key", "token", "key_env", "apikey"},
    {"timeout_seconds", "timeout", "query_seconds"},
    {"dimensions", "dimension", "dim", "dims", "output_dimension", "size"},
    {"batch_size", "batch", "batchsize", "per_request", "texts_per_request", "documents_per_request"},
    {"similarity", "metric", "distance", "distance_type", "measure"},
    {"split", "subset", "fold", "partition"},
    {"cache", "cache_dir", "cache_folder"},
    *SAME_OPTIONS,
)  # fmt: skip


_LISTED = 40  # names that a message lists
_LONGEST = 60  # the longest word that is compared with others, in letters
_MOST_COMPARED = 500  # the most words that one is compared with
_MOST_SLIPS = 3  # the most slips that are counted: with more, any word becomes another


def suggestion(word: str, known: Iterable[str]) -> str:
    """«Did you mean …?» where something is meant or spelled alike, else the list of what is known."""
    options = list(known)
    found = meant(word, options)
    return f"Did you mean {found}?" if found else f"Known: {_listing(options) or 'none'}."


def _listing(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_LISTED])} and {more:,} more"


def advice(word: str, known: Sequence[str], elsewhere: Mapping[str, Sequence[str]]) -> str:
    """What to do about an unknown key. known: the keys of its place. elsewhere: those of other places, by how such a
    place is named in a sentence, nearest first."""
    if (found := alike(word, known)) is not None:
        return f"Did you mean {found}?"
    for place, keys in elsewhere.items():
        if word in keys:
            return f"It belongs {place}."
    if (found := spelled(word, known)) is not None:
        return f"Did you mean {found}?"
    for place, keys in elsewhere.items():
        if (found := meant(word, keys)) is not None:
            return f"Did you mean {found}? It belongs {place}."
    return f"Known: {_listing(known)}." if known else "Nothing can be set there."


def meant(word: str, known: Iterable[str]) -> str | None:
    """The known word that somebody meant, None where nothing is near enough to be worth a guess."""
    options = list(known)
    return alike(word, options) or spelled(word, options)


def alike(word: str, known: Sequence[str]) -> str | None:
    """A known word of the same meaning, or the same word written otherwise (Top-K for top_k)."""
    plain = _plain(word)
    for option in known:
        if _singular(_plain(option)) == _singular(plain) and option != word:
            return option
    same = [group for group in _SAME if plain in group]
    return next((option for group in same for option in known if option in group and option != word), None)


def spelled(word: str, known: Sequence[str]) -> str | None:
    """The known word with the most similar spelling: a slip or two apart, or the word with something before or after
    it."""
    plain = _plain(word)
    if len(plain) > _LONGEST:
        return None
    comparable = [option for option in known if abs(len(option) - len(plain)) <= _MOST_SLIPS][:_MOST_COMPARED]
    near = [(_slips(plain, _plain(option)), option) for option in comparable]
    slips, best = min(near, default=(0, ""), key=lambda pair: pair[0])
    if best and slips <= _allowed(plain, _plain(best)):
        return best
    parts = set(plain.split("_"))
    within = [o for o in known if len(o) > 1 and (_plain(o) in parts or plain in _plain(o).split("_"))]
    return within[0] if len(within) == 1 else None


def _allowed(word: str, option: str) -> int:
    """How many slips a word may have: one from three letters, two from six, three from ten. More would make it another
    word."""
    length = max(len(word), len(option))
    return 0 if length < 3 else 1 if length < 6 else 2 if length < 10 else 3


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word.removesuffix("s")


def _slips(one: str, other: str) -> int:
    """How many letters to insert, delete, replace or swap with their neighbour; counted up to one more than the most
    slips. Source: optimal string alignment distance, in the band of that width (Ukkonen)."""
    beyond = _MOST_SLIPS + 1
    rows = [[min(j, beyond) for j in range(len(other) + 1)]]
    for i, letter in enumerate(one, 1):
        row = [beyond] * (len(other) + 1)
        row[0] = min(i, beyond)
        for j in range(max(1, i - _MOST_SLIPS), min(len(other), i + _MOST_SLIPS) + 1):
            its = other[j - 1]
            best = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                best = min(best, rows[-2][j - 2] + 1)
            row[j] = min(best, beyond)
        if min(row) >= beyond and min(rows[-1]) >= _MOST_SLIPS:
            return beyond
        rows.append(row)
    return rows[-1][-1]
