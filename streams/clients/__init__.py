"""The only code that talks to models, stores and services; each module implements a protocol of `streams.ports`."""
