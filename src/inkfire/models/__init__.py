"""What runs on this machine, and names → models."""

import os

# Else huggingface_hub, when it loads, puts the versions of the libraries that it finds here into every request to the
# hub. Whoever wants to be counted sets it to 0.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
