"""The first pass, cached and untimed: embed, index, search, fuse, rerank, evaluate."""
