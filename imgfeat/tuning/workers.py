"""Who runs which trial: several processes may share a study, and any may be killed."""

import contextlib
import os
import socket
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

# On a trial, who runs it; and on one whose process died, that it is lost.
WORKER, LOST = "imgfeat:worker", "imgfeat:lost"

# Seconds between two signs of life, and without any until a process of another machine is dead.
PULSE, SILENCE = 30.0, 300.0


class Pulse:
    """Signs the trials of this process, and shows while it runs that it lives."""

    def __init__(self, study: optuna.Study):
        self.study = study
        # A study in memory has nobody to show it to.
        self.alone = isinstance(study._storage, optuna.storages.InMemoryStorage)
        self._trial_ids: set[int] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Pulse":
        if not self.alone:
            self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def sign(self, trial: optuna.Trial) -> None:
        """Say on a trial that it is run here."""
        if self.alone:
            return
        with self._lock:
            self._trial_ids.add(trial._trial_id)
            self._show(trial._trial_id)

    def release(self, trial: optuna.Trial) -> None:
        """Take note that a trial is about to be told."""
        with self._lock:
            self._trial_ids.discard(trial._trial_id)

    def _beat(self) -> None:
        while not self._stopped.wait(PULSE):
            with self._lock:
                for trial_id in self._trial_ids:
                    # A storage out of reach for a moment is reached by the next beat.
                    with contextlib.suppress(Exception):
                        self._show(trial_id)

    def _show(self, trial_id: int) -> None:
        sign = {"host": socket.gethostname(), "pid": os.getpid(), "seen": time.time()}
        self.study._storage.set_trial_user_attr(trial_id, WORKER, sign)


def find_lost(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that run no longer, though nobody told their end."""
    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    return [trial for trial in running if _is_dead(trial)]


def is_kept(trial: FrozenTrial) -> bool:
    """Tell whether a trial counts: lost ones, and those nobody wanted, do not."""
    return LOST not in trial.user_attrs


def give_up(study: optuna.Study, trial_id: int, cause: str) -> None:
    """Record that a trial does not count, and why, unless it is over."""
    trial = study._storage.get_trial(trial_id)
    if not trial.state.is_finished():
        study._storage.set_trial_user_attr(trial_id, LOST, cause)
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def _is_dead(trial: FrozenTrial) -> bool:
    sign = trial.user_attrs.get(WORKER)
    if sign is None:  # not signed yet, or killed before it was
        start = trial.datetime_start
        return start is not None and datetime.now() - start > timedelta(seconds=SILENCE)
    if sign["host"] != socket.gethostname():
        return time.time() - sign["seen"] > SILENCE
    try:
        os.kill(sign["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # alive, and another user's
        return False
    return False
