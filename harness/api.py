"""The contract between the harness and its plugins: everything a model or a task may import.

A plugin is one module with one final recipe class, a frozen keyword-only dataclass whose fields are
its options; the module's name is the plugin's name.

A *task* says what goes in (`inputs`), what is asked (`outputs`) and where its data come from. A
*model* is a recipe that builds a *mixer*, the layer of (batch, length, width) features that its
paper is about; the harness puts the same backbone around every mixer. A *network model* builds the
whole network itself.
"""

from harness.contract.batch import (
    Batch,
    Inputs,
    Signal,
    Tokens,
    mask_padding,
    valid_positions,
)
from harness.contract.block import ParameterGroup, Trunk
from harness.contract.denoising import IGNORED
from harness.contract.labels import OneLabel, PairLabel, StepLabels, one_hot
from harness.contract.model import Assembler, Model, NetworkModel, Recipe
from harness.contract.network import Mixer, Network, State, Stepper, tensor_bytes
from harness.contract.outputs import Outputs, Values
from harness.contract.remote_file import RemoteFile
from harness.contract.task import (
    Evaluation,
    LearningTask,
    MeasuredTask,
    Runner,
    Split,
    Task,
    Workload,
)
from harness.core.config import Protocol
from harness.core.errors import SpecError, UnsupportedError
from harness.core.private_torch import private_torch
from harness.core.seeding import stream
from harness.data.archives import members
from harness.data.cached_task import CachedTask
from harness.data.file_task import FileTask
from harness.data.generated_task import GeneratedTask, PregeneratedTask
from harness.nn.position_wise import SwiGLU
from harness.nn.recording import counted, recorder, recording
from harness.nn.replay import Steps
from harness.nn.single_position import own_tensors, tensor_versions
from harness.plugins.loading import load_model

__all__ = [
    "IGNORED",
    "Assembler",
    "Batch",
    "CachedTask",
    "Evaluation",
    "FileTask",
    "GeneratedTask",
    "Inputs",
    "LearningTask",
    "MeasuredTask",
    "Mixer",
    "Model",
    "Network",
    "NetworkModel",
    "OneLabel",
    "Outputs",
    "PairLabel",
    "ParameterGroup",
    "PregeneratedTask",
    "Protocol",
    "Recipe",
    "RemoteFile",
    "Runner",
    "Signal",
    "SpecError",
    "Split",
    "State",
    "StepLabels",
    "Stepper",
    "Steps",
    "SwiGLU",
    "Task",
    "Tokens",
    "Trunk",
    "UnsupportedError",
    "Values",
    "Workload",
    "counted",
    "load_model",
    "mask_padding",
    "members",
    "one_hot",
    "own_tensors",
    "private_torch",
    "recorder",
    "recording",
    "stream",
    "tensor_bytes",
    "tensor_versions",
    "valid_positions",
]
