"""Names that different engines have for the same option, to guess what a user meant."""

SAME_OPTIONS: tuple[frozenset[str], ...] = (
    frozenset({"nprobes", "nprobe", "n_probes", "probes"}),
    frozenset({"num_partitions", "nlist", "n_lists", "partitions", "clusters"}),
    frozenset({"max_connections", "m", "num_neighbors"}),
    frozenset({"ef", "ef_search", "hnsw_ef", "search_ef"}),
    frozenset({"ef_construction", "efc", "ef_build"}),
    frozenset({"tokenizer", "analyzer", "analyser", "tokenization", "language"}),
)
