"""Hard negatives: documents that look like answers to a query and are none."""
