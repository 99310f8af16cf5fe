"""The chat of OpenAI and of Cohere's second version, whole and streamed.

Source: the events as openai 3.54 and cohere 7.3 read them (`openai/types/chat/chat_completion_chunk.py`,
`cohere/v2/types/v2chat_stream_response.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.standin.meaning import meaning
from tests.standin.wire import Answer, Refusal, Request

if TYPE_CHECKING:
    from tests.standin.server import StandIn

OPENAI_MODELS = ("gpt-5-mini", "gpt-4o-mini", "local-model")
COHERE_MODELS = ("command-a-03-2025", "command-r7b-12-2024")
PIECE = re.compile(r"\s*\S{1,6}")
_PASSAGE = re.compile(r"<passage[^>]* number=\"(\d+)\"[^>]*>\s*(.*?)\s*</passage", re.DOTALL)


def completions(standin: StandIn, request: Request) -> Answer:
    """OpenAI's chat completions."""
    asked = request.json()
    name = str(asked.get("model"))
    if name not in OPENAI_MODELS:
        raise Refusal(404, f"The model `{name}` does not exist")
    text, finish, read, wrote = _written(standin, asked, asked.get("max_completion_tokens") or asked.get("max_tokens"))
    usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    about = {"id": "standin", "created": 0, "model": name}
    reason = "length" if finish else "stop"
    seen = [(request.path, name, "", _last(asked))]
    if not asked.get("stream"):
        message = {"role": "assistant", "content": text}
        content = {**about, "object": "chat.completion", "choices": [_choice(reason, message=message)]}
        return Answer({**content, **({"usage": usage} if standin.counts_tokens else {})}, seen)
    chunk: dict[str, Any] = {**about, "object": "chat.completion.chunk"}
    found = [{**chunk, "choices": [_choice(None, delta={"role": "assistant", "content": ""})]}]
    found += [{**chunk, "choices": [_choice(None, delta={"content": piece})]} for piece in PIECE.findall(text)]
    found.append({**chunk, "choices": [_choice(reason, delta={})]})
    if (asked.get("stream_options") or {}).get("include_usage") and standin.counts_tokens:
        found.append({**chunk, "choices": [], "usage": usage})
    events = [f"data: {json.dumps(each)}\n\n".encode() for each in found]
    return Answer({}, seen, events=[*events, b"data: [DONE]\n\n"])


def _choice(reason: str | None, **what: Any) -> dict[str, Any]:
    return {"index": 0, "finish_reason": reason, "logprobs": None, **what}


def chat(standin: StandIn, request: Request) -> Answer:
    """Cohere's chat."""
    asked = request.json()
    name = str(asked.get("model"))
    if name not in COHERE_MODELS:
        raise Refusal(404, f"model '{name}' not found")
    text, finish, read, wrote = _written(standin, asked, asked.get("max_tokens"))
    billed = {"input_tokens": read, "output_tokens": wrote}
    # The model reads more than is billed: its template.
    usage = {"billed_units": billed, "tokens": {"input_tokens": read + 500, "output_tokens": wrote}}
    usage = usage if standin.counts_tokens else {}
    reason = "MAX_TOKENS" if finish else "COMPLETE"
    seen = [(request.path, name, "", _last(asked))]
    if not asked.get("stream"):
        message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        return Answer({"id": "standin", "finish_reason": reason, "message": message, "usage": usage}, seen)
    return Answer({}, seen, events=list(_cohere_events(text, reason, usage)))


def _cohere_events(text: str, reason: str, usage: Mapping[str, Any]) -> Iterator[bytes]:
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield _event({"type": "message-start", "id": "standin", "delta": {"message": start}})
    content = {"type": "text", "text": ""}
    yield _event({"type": "content-start", "index": 0, "delta": {"message": {"content": content}}})
    for piece in PIECE.findall(text):
        yield _event({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}})
    yield _event({"type": "content-end", "index": 0})
    yield _event({"type": "message-end", "delta": {"finish_reason": reason, "usage": usage}})


def _event(content: Mapping[str, Any]) -> bytes:
    return f"event: {content['type']}\ndata: {json.dumps(content)}\n\n".encode()


def _written(standin: StandIn, asked: Mapping[str, Any], limit: Any) -> tuple[str, bool, int, int]:
    """The text, whether it ended at the limit, and how many tokens were read and written."""
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages or not all(_is_message(each) for each in messages):
        raise Refusal(400, "'messages' is invalid: expected messages with a role and a content that is not empty")
    text = standin.says(messages) if standin.says is not None else answered(messages)
    for stop in asked.get("stop") or asked.get("stop_sequences") or ():
        text = text.partition(stop)[0]
    pieces = PIECE.findall(text)
    finish = limit is not None and len(pieces) > int(limit)
    pieces = pieces[: int(limit)] if finish else pieces
    read = sum(len(ids) for ids in meaning().tokens([message["content"] for message in messages]))
    return "".join(pieces), finish, read, len(pieces)


def answered(messages: Sequence[Mapping[str, str]]) -> str:
    """The first words of the first two passages of a prompt, each with its citation; without passages, the question in
    small letters; of a question to rewrite, the question."""
    if rewritten := re.search(r"The last question: (.*)", messages[-1]["content"]):
        return rewritten[1]
    passages = _PASSAGE.findall("\n".join(message["content"] for message in messages))
    if not passages:
        return f"You ask: {messages[-1]['content'].lower()}"
    return " ".join(f"{' '.join(text.split()[:6])} [{number}]." for number, text in passages[:2])


def _last(asked: Mapping[str, Any]) -> str:
    return str(asked["messages"][-1]["content"])


def _is_message(each: Any) -> bool:
    if not isinstance(each, dict) or each.get("role") not in ("system", "user", "assistant"):
        return False
    return isinstance(each.get("content"), str) and bool(each["content"])


ROUTES = (
    ("POST", r"/v1/chat/completions", completions),
    ("POST", r"/v2/chat", chat),
)
