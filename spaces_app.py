"""Start Mien as a Hugging Face Space of the Gradio SDK, on CPU, a rented GPU or ZeroGPU; locally it works as well."""

from __future__ import annotations

try:
    import spaces  # noqa: F401 - on ZeroGPU it has to come before anything that touches CUDA
except ImportError:
    pass

from models import registry
from studio.app import build_app, launch_arguments
from studio.settings import settings
from studio.start import make_context

chosen = settings()
app = build_app(make_context(chosen))
if chosen.zero_gpu:
    registry.load_all()  # the GPU is lent for seconds at a time: weights must lie ready before the first visitor

if __name__ == "__main__":
    app.launch(**launch_arguments(chosen))
