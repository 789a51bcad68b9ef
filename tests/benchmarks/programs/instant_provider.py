"""A server that speaks OpenAI's chat completions and answers at once; prints its address."""

import asyncio

import uvloop
from aiohttp import web

HEAD = '"id":"c","object":"chat.completion.chunk","created":1,"model":"instant"'
PIECES = [
    f'data: {{{HEAD},"choices":[{{"index":0,"delta":{{"role":"assistant","content":"{word} "}},"finish_reason":null}}]}}\n\n'
    for word in ["Mary", "Shelley", "wrote", "Frankenstein", "in", "1816", "."]
]
END = (
    f'data: {{{HEAD},"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}\n\n'
    f'data: {{{HEAD},"choices":[],"usage":{{"prompt_tokens":50,"completion_tokens":7,"total_tokens":57}}}}\n\n'
    "data: [DONE]\n\n"
)
BODY = "".join([*PIECES, END]).encode()


async def answer(request: web.Request) -> web.Response:
    """Answer a chat."""
    await request.read()
    return web.Response(body=BODY, headers={"Content-Type": "text/event-stream"})


async def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
