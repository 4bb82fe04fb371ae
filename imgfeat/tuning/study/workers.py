"""Heartbeats and stale trials, for processes that share a study and may be killed."""

import contextlib
import itertools
import socket
import threading
import time
from datetime import datetime, timedelta

import optuna
from optuna.trial import FrozenTrial, TrialState

from imgfeat._compat.optuna import get_storage, get_study_id, get_trial_id
from imgfeat.tuning.study.process_lock import ProcessLock, is_abandoned

# User attributes of a trial: the process that runs it; why it was discarded; and its position,
# which is the number that it would have in a search without interruptions.
WORKER, DISCARDED, POSITION = "imgfeat:worker", "imgfeat:lost", "imgfeat:place"

# Seconds between two heartbeats, and without one until a trial is stale.
HEARTBEAT_INTERVAL, GRACE_PERIOD = 30.0, 300.0


class Heartbeat:
    """Records heartbeats on the running trials of this process, in a thread."""

    def __init__(self, study: optuna.Study):
        self.study = study
        # A study in memory has no other processes.
        self.in_memory = isinstance(get_storage(study), optuna.storages.InMemoryStorage)
        self._process_lock = ProcessLock()
        self._trial_ids: set[int] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send_heartbeats, daemon=True)

    def __enter__(self) -> "Heartbeat":
        if not self.in_memory:
            self._process_lock.acquire()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._process_lock.release()

    def register(self, trial: optuna.Trial) -> None:
        """Record on a trial that this process runs it, and start its heartbeat."""
        if self.in_memory:
            return
        with self._lock:
            self._trial_ids.add(get_trial_id(trial))
            self._record(get_trial_id(trial))

    def unregister(self, trial: optuna.Trial) -> None:
        """Stop the heartbeat of a trial that is about to finish."""
        with self._lock:
            self._trial_ids.discard(get_trial_id(trial))

    def is_stale(self, trial: optuna.Trial) -> bool:
        """Return whether another process found the trial stale and discarded it."""
        if (
            self.in_memory
            or not get_storage(self.study).get_trial(get_trial_id(trial)).state.is_finished()
        ):
            return False
        self.unregister(trial)
        return True

    def discard_stale(self) -> None:
        """Discard the stale trials of other processes."""
        if self.in_memory:
            return
        for trial in find_stale_trials(self.study):
            if get_trial_id(trial) not in self._trial_ids:
                discard_trial(self.study, get_trial_id(trial), "its process ended")

    def _send_heartbeats(self) -> None:
        while not self._stopped.wait(HEARTBEAT_INTERVAL):
            with self._lock:
                for trial_id in self._trial_ids:
                    # If the storage cannot be reached, the next heartbeat tries again.
                    with contextlib.suppress(Exception):
                        self._record(trial_id)

    def _record(self, trial_id: int) -> None:
        worker = {
            "host": socket.gethostname(),
            "lease": self._process_lock.name,
            "seen": time.time(),
        }
        get_storage(self.study).set_trial_user_attr(trial_id, WORKER, worker)


def find_stale_trials(study: optuna.Study, now: float | None = None) -> list[FrozenTrial]:
    """Return the stale trials: those in state RUNNING whose process has ended.

    Parameters
    ----------
    study : Study
    now : float, default=None
        Time in seconds, as from `time.time`; None is the current time.
    """
    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    now = time.time() if now is None else now
    return [trial for trial in running if _is_stale(trial, now)]


def is_kept(trial: FrozenTrial) -> bool:
    """Return whether a trial was not discarded; discarded trials are ignored everywhere."""
    return DISCARDED not in trial.user_attrs


def discard_trial(study: optuna.Study, trial_id: int, cause: str) -> None:
    """Record that a trial is discarded, and why, unless it has finished."""
    trial = get_storage(study).get_trial(trial_id)
    if not trial.state.is_finished():
        get_storage(study).set_trial_user_attr(trial_id, DISCARDED, cause)
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def claim_position(study: optuna.Study, trial: FrozenTrial) -> int:
    """Record on a trial the first free position in the study, and return it.

    Positions of discarded trials are free again. If several processes start trials at the same
    time, the trial with the smallest number takes the first position.
    """
    storage = get_storage(study)
    others = [
        other
        for other in storage.get_all_trials(get_study_id(study), deepcopy=False)
        if other.number != trial.number and is_kept(other)
    ]
    taken = {other.user_attrs.get(POSITION) for other in others}
    n_before = sum(
        other.state == TrialState.RUNNING
        and other.number < trial.number
        and POSITION not in other.user_attrs
        for other in others
    )
    free = (position for position in itertools.count() if position not in taken)
    position = next(itertools.islice(free, n_before, None))
    storage.set_trial_user_attr(get_trial_id(trial), POSITION, position)
    return position


def find_position(trial: FrozenTrial) -> int:
    """Return the position of a trial, or its number if it has no position."""
    return trial.user_attrs.get(POSITION, trial.number)


def _is_stale(trial: FrozenTrial, now: float) -> bool:
    worker = trial.user_attrs.get(WORKER)
    if worker is None:  # the process has not recorded it yet, or was killed before
        start = trial.datetime_start
        return start is not None and datetime.fromtimestamp(now) - start > timedelta(
            seconds=GRACE_PERIOD
        )
    if now - worker["seen"] > GRACE_PERIOD:
        return True
    # On the same machine, the lock tells at once.
    return worker["host"] == socket.gethostname() and is_abandoned(worker["lease"])
