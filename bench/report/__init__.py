"""Result(s) to what people read. Files only: nothing here calls a model or a server."""
