"""The only code that talks to models, stores and services; each module implements a protocol of `streams.ports`."""

from streams.clients import instructions

instructions.widest(instructions.CPU)  # before the first model is loaded: CTranslate2 chooses once for the process
