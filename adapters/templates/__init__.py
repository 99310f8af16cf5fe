"""Small adapters that pass, one for each role: `bench new-adapter` writes them as the first file of a new package, with
`Mine` and `mine` replaced by the new name. They import what an author imports, and nothing relative."""
