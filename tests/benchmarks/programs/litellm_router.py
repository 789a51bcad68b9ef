"""Peer: LiteLLM's router, or with `direct` OpenAI's SDK alone, in an environment of their own."""

import asyncio
import sys
from importlib import import_module
from typing import Any

from open_loop import WARM_UP, paced, report  # type: ignore[import-not-found] # beside this file; not a package there

SYSTEM, USER = "Answer from the passages.", "Who wrote Frankenstein?"
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]


async def main(how: str, url: str, per_s: float, seconds: float) -> None:
    """Measure."""
    asked = direct(url) if how == "direct" else routed(url)

    async def call(_: int) -> None:
        stream = await asked(
            messages=MESSAGES, stream=True, max_tokens=100, temperature=0, stream_options={"include_usage": True}
        )
        async for _chunk in stream:
            pass

    for number in range(WARM_UP):
        await call(-number)
    report(await paced(call, per_s, seconds))


def direct(url: str) -> Any:  # noqa: ANN401 - the SDK's own
    """Return the call of the SDK."""
    import openai  # noqa: PLC0415 - only where it is measured

    client = openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0)
    return lambda **given: client.chat.completions.create(model="instant", **given)


def routed(url: str) -> Any:  # noqa: ANN401 - as above
    """Return the call of the router: two deployments, one of which falls back to the other."""
    litellm: Any = import_module("litellm")  # only where it is measured

    litellm.suppress_debug_info = True
    one = {"model": "openai/instant", "api_base": url, "api_key": "none"}
    router = litellm.Router(
        model_list=[{"model_name": name, "litellm_params": one} for name in ("first", "second")],
        fallbacks=[{"first": ["second"]}],
        num_retries=1,
    )
    return lambda **given: router.acompletion(model="first", **given)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
