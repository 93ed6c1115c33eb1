"""A policy: a language model with the template that turns a query into its messages.

A policy folder is a PEFT adapter (adapter_config.json, adapter_model.safetensors) or a whole model, with its tokenizer
and its card (``card.py``).

>>> policy = Policy.load("runs/demo/rm-rl")                                                      # doctest: +SKIP
>>> policy.generate(["给外婆的八十大寿祝福"], n=2, temperature=0.8, seed=1)                          # doctest: +SKIP
[['外婆，八十道年轮……', '……']]
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from inkfire.errors import InputError, MissingExtraError, ModelNameError
from inkfire.llm.base import Message
from inkfire.models import chat
from inkfire.models.card import CARD, Card, is_adapter, is_policy
from inkfire.models.open import check_name
from inkfire.tasks.task import Task

# Torch's threads otherwise spin while they wait for each other. On a machine that does anything else besides, that
# made a training step ten times slower (two cores); where it is alone the difference is small. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    import torch
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as hf_logging
except ImportError as error:
    raise MissingExtraError(error.name or "torch", "train") from error


@dataclass
class Policy:
    """A model ready to write. ``name`` is its folder's name, or the model's."""

    name: str
    card: Card
    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, source: str | Path, *, task: Task | None = None) -> Self:
        """Load a policy folder, or a model by name with ``task``'s template.

        Raises:
            DataError: a folder that is damaged.
            InputError: a model's name without a task.
            ModelNameError: no such model, or weights that cannot be loaded.
        """
        folder = Path(source)
        if is_policy(folder):
            card = Card.read(folder)
            model, tokenizer = load_model(folder, card, trainable=False)
            return cls(folder.name, card, model, tokenizer)
        if task is None:
            raise InputError(f"{source}: no policy folder (it has no {CARD}); for a model's name, name a task as well")
        card = Card.of(str(source), task)
        model, tokenizer = load_model(None, card, trainable=False)
        return cls(str(source), card, model, tokenizer)

    def messages(self, query: str) -> list[Message]:
        return self.card.template.messages(query)

    def generate(
        self,
        queries: Sequence[str],
        *,
        n: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_new_tokens: int = 128,
        seed: int = 0,
        batch_size: int = 32,
        advance: Callable[[int], None] | None = None,
    ) -> list[list[str]]:
        """``n`` responses a query, outer blanks removed, without what the policy thought: empty where it only thought.

        Args:
            temperature: 0 takes the likeliest token each time.
            batch_size: texts written at once; with another one the same seed gives other texts.
            advance: called with the number of texts that were just written.
        """
        prompts = [ids for ids in self.encode(queries) for _ in range(n)]
        texts: list[str] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for start in range(0, len(prompts), batch_size):
                batch = prompts[start : start + batch_size]
                ids = sample(
                    self.model,
                    self.tokenizer,
                    batch,
                    temperature=temperature,
                    top_p=top_p,
                    max_new_tokens=max_new_tokens,
                )
                texts += [chat.answer(self.tokenizer, of_text) for of_text in ids]
                if advance is not None:
                    advance(len(batch))
        return [texts[i * n : (i + 1) * n] for i in range(len(queries))]

    def encode(self, queries: Sequence[str]) -> list[list[int]]:
        """Token ids of the prompts, chat template and all, thinking switched off."""
        return chat.encode(self.tokenizer, [self.messages(query) for query in queries])


load_policy = Policy.load


def sample(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    temperature: float,
    top_p: float = 1.0,
    max_new_tokens: int,
) -> list[list[int]]:
    """Continue token ids, one continuation each, ending with (and including) an end token or at ``max_new_tokens``.

    Nothing but temperature and top-p shapes the distribution. Uses torch's global random state.
    """
    padded = tokenizer.pad({"input_ids": list(prompts)}, padding=True, padding_side="left", return_tensors="pt")
    padded = padded.to(model.device)
    ends = end_tokens(model, tokenizer)
    choice: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if temperature > 0:
        choice = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
    with torch.no_grad():
        out = model.generate(
            **padded,
            **choice,
            max_new_tokens=max_new_tokens,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
        )
    return [_until_end(row, ends) for row in out[:, padded["input_ids"].shape[1] :].tolist()]


def _until_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    """Up to the first end token, which belongs to the text: what follows is padding."""
    first = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    return ids[: first + 1]


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends a text: the tokenizer's, those the model declares, the chat template's end of a turn."""
    declared = model.generation_config.eos_token_id
    declared = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
    ends = (tokenizer.eos_token_id, *declared, chat.turn_end(tokenizer))
    return list(dict.fromkeys(end for end in ends if end is not None))


def load_model(folder: Path | None, card: Card, *, trainable: bool) -> tuple[Any, Any]:
    """(model, tokenizer) of a policy folder, or of the card's base where there is no folder.

    For training, an adapter is loaded with float32 weights that take gradients; for writing, in the base's own
    precision, which spares a cast in every layer.

    Raises:
        ModelNameError: weights that cannot be loaded.
    """
    adapter, whole = _sources(folder, card.base)
    try:
        with quiet():
            tokenizer = load_tokenizer(whole, folder)
            model = AutoModelForCausalLM.from_pretrained(whole, dtype=compute_dtype(), trust_remote_code=False)
            model.generation_config.pad_token_id = tokenizer.pad_token_id
            model.generation_config.eos_token_id = end_tokens(model, tokenizer)
            model.get_output_embeddings().register_forward_pre_hook(_one_piece)
            if adapter is not None:
                model = PeftModel.from_pretrained(
                    model, str(adapter), is_trainable=trainable, autocast_adapter_dtype=trainable
                )
    except (OSError, ValueError) as error:
        raise ModelNameError(f"{folder or card.base}: the weights cannot be loaded: {_first_line(error)}") from error
    if torch.cuda.is_available():
        model = model.to("cuda")
    return model.train(trainable), tokenizer


def _one_piece(head: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The last positions of texts are no whole piece of memory. torch multiplies such a part by frozen weights only
    after it has copied these for every text, and those of the vocabulary are a quarter of a gigabyte."""
    return (given[0].contiguous(), *given[1:])


def _sources(folder: Path | None, base: str) -> tuple[Path | None, str | Path]:
    """(adapter, model under it) of a policy folder; of a model that is none, (None, the model)."""
    if folder is not None and not is_adapter(folder):
        return None, folder
    path = Path(base).expanduser()
    if not path.exists() and (base.startswith((".", "/", "~")) or _beside_folders(path)):
        of = "no such folder" if folder is None else f"the model under {folder} (base in its {CARD}) is not there"
        raise ModelNameError(f"{base}: {of}")
    return folder, base_source(base)


def tokenizer_of(folder: Path) -> Any:
    """A policy folder's tokenizer alone.

    Raises:
        ModelNameError, DataError: as :meth:`Policy.load`.
    """
    return load_tokenizer(_sources(folder, Card.read(folder).base)[1], folder)


def _beside_folders(path: Path) -> bool:
    """Whether a name that could be a hub id is rather a path: models/base, where there is a folder models."""
    return path.parts[0] not in ("local", "hf") and len(path.parts) > 1 and path.parent.is_dir()


def load_tokenizer(model: str | Path, own: str | Path | None = None) -> Any:
    """The tokenizer of a model's folder or hub id, with what it lacks (``chat.complete``); it pads on the left, as
    generation needs it.

    Args:
        own: a policy's folder, whose own tokenizer goes before that of the model under it.

    Raises:
        ModelNameError: no such model, or a tokenizer that cannot be read or used.
    """
    source = own if own is not None and (Path(own) / "tokenizer_config.json").is_file() else model
    try:
        with quiet():
            config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError) as error:
        why = _first_line(error)
        if "couldn't connect" in why.lower():
            why = "not on this machine, and the model hub cannot be reached"
        raise ModelNameError(f"{model}: no such model: {why}") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left", trust_remote_code=False)
    except Exception as error:  # a stranger's file in a stranger's parser: anything may come out of it
        raise ModelNameError(f"{source}: its tokenizer cannot be read: {_first_line(error)}") from error
    return chat.complete(tokenizer, config)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def base_source(name: str) -> str:
    """What Hugging Face loads for a model's name: a folder or hub id; a GGUF is converted once."""
    from inkfire.models.convert import trainable

    return trainable(name)


def find_model(source: str) -> None:
    """Check that a policy folder or a model is there and can be asked, before anything is written.

    Raises:
        ModelNameError: no such model, no tokenizer, no token that ends a text, a chat template that takes no query.
        DataError: the folder's card is damaged.
    """
    folder = Path(source) if is_policy(source) else None
    if folder is None:
        check_name(source, weights=True)
    _, whole = _sources(folder, source if folder is None else Card.read(folder).base)
    asked = [{"role": "system", "content": "You write wishes."}, {"role": "user", "content": "a wish"}]
    chat.frame(load_tokenizer(whole, folder), asked)


def compute_dtype() -> torch.dtype:
    """bfloat16 where the machine computes in it (on CPUs: AVX512-BF16 or AMX, 1.5 to 2 times faster), else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


@contextmanager
def half_precision(model: Any) -> Iterator[None]:
    """Within: the trained float32 weights as copies in the base's precision, so that no layer casts its input."""
    trained = [(parameter, parameter.data) for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter, data in trained:
            parameter.data = data.to(compute_dtype())
        yield
    finally:
        for parameter, data in trained:
            parameter.data = data


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what third parties say about themselves (progress bars, deprecations) off the terminal."""
    loggers = [logging.getLogger(name) for name in ("trl", "transformers", "peft", "accelerate", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Deprecated calls between transformers, peft and trl are theirs to mend.
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft|trl|accelerate)\b")
            warnings.filterwarnings("ignore", message=".*rollout_func.*experimental", category=UserWarning)
            for looked_up in ("Could not find a config file in", "Unable to fetch remote file"):  # without a network
                warnings.filterwarnings("ignore", message=looked_up, category=UserWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            hf_logging.enable_progress_bar()
