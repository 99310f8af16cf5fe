"""Warns where the default of a product quantizer keeps too little of a vector."""

from __future__ import annotations


def few_codes(kind: str, dimension: int, codes: int, width: int, *, option: str, instead: str) -> list[str]:
    """A sentence where the default has so few codes that each stands for more than `width` dimensions; nothing
    elsewhere. option: sets the number of codes. instead: an index type without product quantization."""
    if dimension <= codes * width:
        return []
    fits = [n for n in range(2, dimension + 1) if dimension % n == 0 and n * width >= dimension and n < dimension]
    cure = f"Set {option}, for example to {fits[0]}, or take" if fits else f"Nothing divides {dimension}: take"
    kept = "one code" if codes == 1 else f"{codes} codes"
    return [
        f"{kind} keeps {kept} for all {dimension} dimensions where {option} is not given, and will miss "
        f"most neighbours. {cure} {instead}."
    ]
