"""The pieces of stand-alone retrievers: plain modules whose source is copied into the files that `bench retriever`
writes.

A module here imports the standard library, numpy, pyarrow, the client of its vendor, and other modules of this room,
and nothing else of this project. What a generated file needs of a module, and of the modules that it imports, stands in
that file; what differs from one file to the next is literals alone.
"""
