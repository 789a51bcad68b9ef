"""Speech models and engines."""

import os

# onnxruntime, which listens for voices and speaks in piper, sends its maker telemetry and leaves a `.ses` file where it runs
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
