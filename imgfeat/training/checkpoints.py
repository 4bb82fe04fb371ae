"""Checkpoints of training, as .safetensors with JSON inside: tensors and numbers, no code.

A checkpoint is written after each epoch, in one file that is complete or not there. It holds all
that decides the rest of the training: weights, those of the best epoch, the state of optimiser,
schedule and random numbers, and the history.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from skorch.callbacks import Callback, LRScheduler
from torch import Tensor

import imgfeat
from imgfeat._files import replace_atomically
from imgfeat.caching.content import digest_value
from imgfeat.training.batches import ImageSet
from imgfeat.training.callbacks import BestWeights
from imgfeat.training.errors import TrainingError
from imgfeat.training.loop import FineTuningNet

FILE_NAME = "checkpoint.safetensors"
# They do not decide the result, or not in a way that can be read.
NOT_IDENTIFYING = frozenset({"callbacks", "checkpoint_dir", "verbose"})


def find_checkpoint(
    folder: str | os.PathLike,
    params: dict[str, Any],
    weights: dict[str, Tensor],
    parts: Sequence[ImageSet | None],
) -> Path:
    """Return the path of the checkpoint of a training run.

    Each run has a subfolder, named for the parameters, first weights, images and labels, so that
    another run, such as that of another fold, does not continue it.

    Parameters
    ----------
    folder : path-like
        Created if it does not exist.
    params : dict
        Parameters of the classifier.
    weights : dict of str to Tensor
        State of the network before training.
    parts : sequence of ImageSet or None
        Training and validation part.
    """
    identity = (
        {name: value for name, value in params.items() if name not in NOT_IDENTIFYING},
        dict(weights),
        [None if part is None else (part.inputs, part.targets, part.weights) for part in parts],
        (imgfeat.__version__, torch.__version__),
    )
    path = Path(folder) / digest_value(identity).hex()[:16] / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


class Checkpoint(Callback):
    """Writes a checkpoint after each epoch, and continues from it when training begins.

    Parameters
    ----------
    path : Path
    best : BestWeights
    scheduler : LRScheduler or None
    """

    def __init__(self, path: Path, best: BestWeights, scheduler: LRScheduler | None):
        self.path = path
        self.best = best
        self.scheduler = scheduler

    def on_train_begin(self, net: FineTuningNet, **kwargs: Any) -> None:
        """Load the checkpoint, if there is one."""
        if not self.path.is_file():
            return
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                state = json.loads((file.metadata() or {})["state"])
            self._load(net, tensors, state)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise TrainingError(
                f"The checkpoint {self.path} is damaged ({' '.join(str(error).split())[:200]}). "
                "Remove it to train from the beginning."
            ) from error

    def on_epoch_end(self, net: FineTuningNet, **kwargs: Any) -> None:
        """Write a checkpoint."""
        tensors = {f"module.{name}": value for name, value in net.module_.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.weights_.items()}
        optimizer = net.optimizer_.state_dict()
        numbers: dict[str, dict[str, Any]] = {}
        for index, values in optimizer["state"].items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value
                else:
                    numbers.setdefault(str(index), {})[name] = value
        tensors["random.cpu"] = torch.get_rng_state()
        device = torch.device(net.device)
        if device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(device)
        state = {
            "optimizer_numbers": numbers,
            "param_groups": optimizer["param_groups"],
            "scheduler": None
            if self.scheduler is None
            else self.scheduler.lr_scheduler_.state_dict(),
            "scaler": net.scaler.state_dict(),
            "best_rank": self.best.rank_,
            "best_epoch": self.best.epoch_,
            "history": [
                {name: value for name, value in row.items() if name != "batches"}
                for row in net.history
            ],
        }
        # Copies, since tensors of a file must be contiguous and share no memory.
        content = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in tensors.items()
        }
        with replace_atomically(self.path) as temporary:
            save_file(content, temporary, metadata={"state": json.dumps(state)})

    def _load(self, net: FineTuningNet, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        net.module_.load_state_dict(_select(tensors, "module."))
        self.best.weights_ = {
            name: value.to(net.device) for name, value in _select(tensors, "best.").items()
        }
        self.best.rank_, self.best.epoch_ = tuple(state["best_rank"]), state["best_epoch"]
        values: dict[int, dict[str, Any]] = {
            int(index): dict(numbers) for index, numbers in state["optimizer_numbers"].items()
        }
        for key, value in _select(tensors, "optimizer.").items():
            index, _, name = key.partition(".")
            values.setdefault(int(index), {})[name] = value
        net.optimizer_.load_state_dict({"state": values, "param_groups": state["param_groups"]})
        if self.scheduler is not None:
            self.scheduler.lr_scheduler_.load_state_dict(state["scheduler"])
        net.scaler.load_state_dict(state["scaler"])
        for row in state["history"]:
            net.history.new_epoch()
            for name, value in row.items():
                net.history.record(name, value)
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], torch.device(net.device))


def _select(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
