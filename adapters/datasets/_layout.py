"""How a table is written, as options of the datasets that read one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from adapters import base
from adapters.base.sheets import Layout


class LayoutOptions(base.Options):
    encoding: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="Encoding of a text file, such as cp1252; left out, UTF-8, or UTF-16 with its mark.",
    )
    separator: Literal[",", ";", "\t", "|"] | None = Field(
        None, description="What separates the cells of a .csv or .tsv file; left out, a comma, and a tab in .tsv."
    )
    sheet: str | None = Field(None, description="Sheet of an Excel file; left out, the first one that holds anything.")
    headings: bool = Field(
        True, description="Whether the first row names the columns; if not, they are called column 1 and so on."
    )

    skip_rows: int = Field(
        0, ge=0, description="Rows above the one that names the columns, such as a title; blank ones count."
    )

    quotes: bool | None = Field(
        None,
        description="Whether cells of a text file stand in quotes where they hold quotes, separators or line ends; "
        "left out, in all files but .tsv.",
    )

    @field_validator("encoding")
    @classmethod
    def _that_there_is(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except LookupError as error:
            raise ValueError(f"{error}; usual ones are utf-8, utf-16, cp1252 and latin-1") from error
        return value

    @property
    def layout(self) -> Layout:
        return Layout(self.encoding, self.separator, self.sheet, self.headings, self.skip_rows, self.quotes)
