"""Who runs which trial: several processes may share a study, and any may be killed."""

import contextlib
import itertools
import socket
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from imgfeat._compat.optuna import get_storage, get_study_id, get_trial_id
from imgfeat.tuning.study.lease import Lease, is_abandoned

# On a trial, who runs it; on one whose process died, that it is lost; and which of the trials of a
# search that nothing disturbs it is.
WORKER, LOST, PLACE = "imgfeat:worker", "imgfeat:lost", "imgfeat:place"

# Seconds between two signs of life, and without any until a process is dead.
PULSE, SILENCE = 30.0, 300.0


class Pulse:
    """Signs the trials of this process, and shows while it runs that it lives."""

    def __init__(self, study: optuna.Study):
        self.study = study
        # A study in memory has nobody to show it to.
        self.alone = isinstance(get_storage(study), optuna.storages.InMemoryStorage)
        self._lease = Lease()
        self._trial_ids: set[int] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Pulse":
        if not self.alone:
            self._lease.acquire()
            self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._lease.release()

    def sign(self, trial: optuna.Trial) -> None:
        """Say on a trial that it is run here."""
        if self.alone:
            return
        with self._lock:
            self._trial_ids.add(get_trial_id(trial))
            self._show(get_trial_id(trial))

    def release(self, trial: optuna.Trial) -> None:
        """Take note that a trial is about to be told."""
        with self._lock:
            self._trial_ids.discard(get_trial_id(trial))

    def is_lost(self, trial: optuna.Trial) -> bool:
        """Tell whether another process took this one for dead, and began the trial anew."""
        if (
            self.alone
            or not get_storage(self.study).get_trial(get_trial_id(trial)).state.is_finished()
        ):
            return False
        self.release(trial)
        return True

    def discard_lost(self) -> None:
        """Record that trials of processes that died do not count."""
        if self.alone:
            return
        for trial in find_lost(self.study):
            if get_trial_id(trial) not in self._trial_ids:
                give_up(self.study, get_trial_id(trial), "its process ended")

    def _beat(self) -> None:
        while not self._stopped.wait(PULSE):
            with self._lock:
                for trial_id in self._trial_ids:
                    # A storage out of reach for a moment is reached by the next beat.
                    with contextlib.suppress(Exception):
                        self._show(trial_id)

    def _show(self, trial_id: int) -> None:
        sign = {"host": socket.gethostname(), "lease": self._lease.name, "seen": time.time()}
        get_storage(self.study).set_trial_user_attr(trial_id, WORKER, sign)


def find_lost(study: optuna.Study, now: float | None = None) -> list[FrozenTrial]:
    """Return the trials that run no longer, though nobody told their end.

    Parameters
    ----------
    study : Study
    now : float, default=None
        In seconds, as `time.time` has it; None asks the clock.
    """
    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    now = time.time() if now is None else now
    return [trial for trial in running if _is_dead(trial, now)]


def is_kept(trial: FrozenTrial) -> bool:
    """Tell whether a trial counts: lost ones, and those nobody wanted, do not."""
    return LOST not in trial.user_attrs


def give_up(study: optuna.Study, trial_id: int, cause: str) -> None:
    """Record that a trial does not count, and why, unless it is over."""
    trial = get_storage(study).get_trial(trial_id)
    if not trial.state.is_finished():
        get_storage(study).set_trial_user_attr(trial_id, LOST, cause)
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def claim_place(study: Any, trial: FrozenTrial) -> int:
    """Note on a trial, and return, the first place in the study that no other has.

    Places of lost trials are free again. Of trials that other processes begin at the same time, the
    one with the smaller number takes the first place.
    """
    storage = get_storage(study)
    others = [
        other
        for other in storage.get_all_trials(get_study_id(study), deepcopy=False)
        if other.number != trial.number and is_kept(other)
    ]
    taken = {other.user_attrs.get(PLACE) for other in others}
    n_before = sum(
        other.state == TrialState.RUNNING
        and other.number < trial.number
        and PLACE not in other.user_attrs
        for other in others
    )
    free = (place for place in itertools.count() if place not in taken)
    place = next(itertools.islice(free, n_before, None))
    storage.set_trial_user_attr(get_trial_id(trial), PLACE, place)
    return place


def find_place(trial: FrozenTrial) -> int:
    """Return the place of a trial in a search that nothing disturbs; its number, if it has none."""
    return trial.user_attrs.get(PLACE, trial.number)


def _is_dead(trial: FrozenTrial, now: float) -> bool:
    sign = trial.user_attrs.get(WORKER)
    if sign is None:  # not signed yet, or killed before it was
        start = trial.datetime_start
        return start is not None and datetime.fromtimestamp(now) - start > timedelta(
            seconds=SILENCE
        )
    if now - sign["seen"] > SILENCE:
        return True
    # On the same machine there is no need to wait.
    return sign["host"] == socket.gethostname() and is_abandoned(sign["lease"])
