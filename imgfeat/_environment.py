"""Description of the environment of a measurement: commit, versions, machine."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import imgfeat

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "numba",
    "opencv-python-headless",
    "pillow",
    "joblib",
    "optuna",
    "skops",
    "torch",
    "timm",
    "onnx",
    "skl2onnx",
    "onnxruntime",
)


def describe_environment() -> dict[str, Any]:
    """Return the commit of imgfeat, versions of packages, and the machine.

    Returns
    -------
    environment : dict
        ``commit`` (None outside a git checkout; "-dirty" appended if files differ from it),
        ``versions`` (dict), ``machine`` (dict).

    Examples
    --------
    >>> from imgfeat.evaluation import describe_environment
    >>> sorted(describe_environment())
    ['commit', 'machine', 'versions']
    """
    versions = {"python": platform.python_version(), "imgfeat": imgfeat.__version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"commit": _find_commit(), "versions": versions, "machine": _describe_machine()}


def _find_commit() -> str | None:
    root = Path(imgfeat.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("-dirty" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _describe_machine() -> dict[str, Any]:
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _find_processor(),
        "cores": os.cpu_count(),
        "memory_gb": _measure_memory(),
    }


def _find_processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _measure_memory() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
