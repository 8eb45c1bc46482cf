"""Hugging Face's GPT-2 where a task wants models that see the past only, else its BERT."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, PreTrainedModel

from harness.api import Network, NetworkModel, Task


def decoder(width: int, depth: int, heads: int, positions: int) -> PreTrainedModel:
    """Build one without dropout, and with no words of its own."""
    config = GPT2Config(
        n_embd=width, n_layer=depth, n_head=heads, n_positions=positions, vocab_size=1,
        embd_pdrop=0.0, resid_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2Model(config)


def encoder(width: int, depth: int, heads: int, positions: int) -> PreTrainedModel:
    """Build one of the same size, which looks both ways."""
    config = BertConfig(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads,
        intermediate_size=4 * width, max_position_embeddings=positions, vocab_size=1,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=False)


@final
class Wrapped(Network):
    def __init__(self, body: PreTrainedModel, task: Task, width: int) -> None:
        super().__init__()
        self.outputs = task.outputs
        self.encode = task.inputs.encoder(width)
        self.body = body
        self.body.get_input_embeddings().requires_grad_(False)  # `encode` stands in their place
        self.head = task.outputs.head(width)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        if self.outputs.documents > 1:  # of a pair of sequences, one goes through after the other
            inputs = inputs.flatten(0, 1)
            lengths = None if lengths is None else lengths.flatten()
        u, mask = self.encode(inputs), None
        if lengths is not None:
            mask = torch.arange(u.shape[1], device=u.device) < lengths[:, None]
        hidden = u  # which the body takes only if there are positions
        if u.numel():
            hidden = self.body(inputs_embeds=u, attention_mask=mask).last_hidden_state
        predictions: Tensor = self.head(self.outputs.gather(hidden, lengths))
        return predictions


@final
@dataclass(frozen=True, kw_only=True)
class HuggingFace(NetworkModel):
    heads: int = 2
    max_length: int = 1024

    def build_network(self, task: Task, *, width: int, depth: int) -> Wrapped:
        build = decoder if task.causal else encoder
        return Wrapped(build(width, depth, self.heads, self.max_length), task, width)
