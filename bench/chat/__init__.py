"""Questions answered from what a retriever finds, with citations."""
