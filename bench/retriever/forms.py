"""The forms that a retriever's file can have: a LangChain retriever, a plain function, a tool, or a server of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bench.retriever.literals import literal
from bench.retriever.modules import Import, Wanted

FormName: TypeAlias = Literal["retriever", "function", "tool", "mcp"]
TOOL = "search_documents"
_LANGCHAIN: Wanted = ("adapters.code.langchain_retriever", "MeasuredRetriever")
_PLAIN: Wanted = ("adapters.code.plain_retriever", "PlainRetriever")
_FOUND: Wanted = ("adapters.code.plain_retriever", "FoundDocument")


@dataclass(frozen=True, slots=True)
class Form:
    """wanted: what the file copies of `adapters.code`, the class that its own extends first. imports: what it imports
    beside. requires: distributions. offers: names that it defines behind the class."""

    wanted: tuple[Wanted, ...]
    imports: Mapping[str, Import]
    requires: tuple[str, ...]
    offers: tuple[str, ...] = ()

    @property
    def base(self) -> Wanted:
        """The class that the file's own class extends."""
        return self.wanted[0]

    @property
    def langchain(self) -> bool:
        """Whether the class is one of LangChain's."""
        return self.base == _LANGCHAIN


FORMS: Mapping[FormName, Form] = {
    "retriever": Form((_LANGCHAIN,), {}, ("langchain-core", "pydantic")),
    "function": Form(
        (_PLAIN, _FOUND), {"Sequence": Import("collections.abc", "Sequence")}, (), ("retrieve", "aretrieve")
    ),
    "tool": Form(
        (_LANGCHAIN,),
        {"create_retriever_tool": Import("langchain_core.tools", "create_retriever_tool")},
        ("langchain-core", "pydantic"),
        (TOOL,),
    ),
    "mcp": Form(
        (_PLAIN, _FOUND, ("adapters.code.contract", "RetrieverError")),
        {
            "MCPServer": Import("mcp.server", "MCPServer"),
            "ToolError": Import("mcp.server.mcpserver.exceptions", "ToolError"),
            "ToolAnnotations": Import("mcp_types", "ToolAnnotations"),
        },
        ("mcp", "mcp-types"),
        ("server", TOOL),
    ),
}


def behind_class(name: FormName, class_name: str, k: int, described: str, names: Mapping[Wanted, str]) -> str:
    """What the file holds behind its class. described: what is searched, for a language model that chooses a tool.
    names: what copied definitions are called in the file."""
    if name == "retriever":
        return ""
    constants = f"TOOL_DESCRIPTION = {literal(described)}\n"
    if name == "tool":
        return (
            f"{constants}\n{TOOL} = create_retriever_tool(\n    {class_name}(),\n    name={literal(TOOL)},\n"
            '    description=TOOL_DESCRIPTION,\n    response_format="content_and_artifact",\n)\n'
        )
    made, found = f"_RETRIEVER = {class_name}()\n", names[_FOUND]
    if name == "function":
        return made + _FUNCTIONS.format(found=found, k=literal(k))
    error = names["adapters.code.contract", "RetrieverError"]
    return f"{constants}{made}" + _SERVER.format(name=literal(TOOL), tool=TOOL, found=found, k=literal(k), error=error)


_FUNCTIONS = '''

def retrieve(query: str, k: int = {k}, *, exclude: Sequence[str] = ()) -> list[{found}]:
    """Find the best k documents for a query, best first. exclude: ids of documents that are left out."""
    return _RETRIEVER.find(query, k, exclude)


async def aretrieve(query: str, k: int = {k}, *, exclude: Sequence[str] = ()) -> list[{found}]:
    """As `retrieve`, without holding up the event loop."""
    return await _RETRIEVER.afind(query, k, exclude)
'''
_SERVER = '''server = MCPServer({name}, instructions=TOOL_DESCRIPTION)


@server.tool(
    name={name},
    description=TOOL_DESCRIPTION,
    annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)
async def {tool}(query: str, k: int = {k}) -> list[{found}]:
    """Find the best k documents for a query, best first."""
    try:
        return await _RETRIEVER.afind(query, k)
    except {error} as error:
        raise ToolError(str(error)) from error


if __name__ == "__main__":
    server.run()
'''
