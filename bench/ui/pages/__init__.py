"""The pages, a module each: a function `build` puts the components of a tab together."""
