"""``inkfire export``: a policy in the form that another engine takes, with a model card.

out/README.md           what it is, how to run it, how it was trained, what was measured
merged                  whole safetensors, tokenizer, chat template: vLLM, transformers
gguf-lora               adapter.gguf: llama.cpp, beside the base's .gguf
ollama                  Modelfile, the base's .gguf, adapter.gguf
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from inkfire.errors import InputError
from inkfire.files.jsonl import whole_folder
from inkfire.models.card import CARD, Card, is_policy

Form = Literal["merged", "gguf-lora", "ollama"]


def export(policy: str, to: Form, out: Path) -> dict[str, Any]:
    """Write ``policy`` to ``out``, which appears whole or not at all.

    Returns:
        out, to, base, files (names), bytes.

    Raises:
        InputError: no policy folder.
        RunFolderError: ``out`` is there and not empty, or cannot be written.
        ModelNameError: weights that cannot be loaded, or a policy that has no such form.
    """
    if not is_policy(policy):
        raise InputError(f"{policy}: no policy folder (it has no {CARD}); `inkfire train` makes one")
    folder, card = Path(policy), Card.read(Path(policy))
    from inkfire.runs.model_card import write_model_card
    from inkfire.training.export import write_gguf_lora, write_merged, write_ollama

    write = {"merged": write_merged, "gguf-lora": write_gguf_lora, "ollama": write_ollama}[to]
    with whole_folder(out) as beside:
        write(folder, beside)
        write_model_card(folder, to, beside)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {
        "out": str(out),
        "to": to,
        "base": card.base,
        "files": [path.relative_to(out).as_posix() for path in files],
        "bytes": sum(path.stat().st_size for path in files),
    }
