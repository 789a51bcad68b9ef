"""llama.cpp's own HTTP server as a program: it speaks OpenAI's chat completions until its standard input ends.

Whoever starts it holds the other end, so that it outlives nobody.
"""

import json
import os
import sys
from typing import Any

import xllamacpp

SLOTS = 2


def main(order: dict[str, Any]) -> None:
    """Load, say one line once requests are answered, and wait."""
    params = xllamacpp.CommonParams()
    params.model.path = order["weights"]
    params.n_ctx, params.n_parallel = order["context_tokens"] * SLOTS, SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    params.cache_ram_mib = 0
    params.verbosity = -1
    params.port = order["port"]
    server = xllamacpp.Server(params)
    server.handle_chat_completions({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1})
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # nothing is worth a clean end


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
