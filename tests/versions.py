"""Print the oldest versions that setup.cfg allows, as a constraints file for pip.

    python tests/versions.py > constraints-oldest.txt

``make test-oldest`` installs them into an environment of its own. Of each oldest version, later bug
fixes are allowed. Tools and references of the extras "test" and "bench" stay as new as they are.
"""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_OF_USERS = {"test", "bench"}
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)(?:,<[\d.]+)?")


def list_oldest(path: Path) -> dict[str, str]:
    """Return the oldest version of each package that a setup.cfg asks for.

    Raises
    ------
    ValueError
        If a package has no oldest version.
    """
    parser = configparser.ConfigParser()
    parser.read(path)
    extras = parser["options.extras_require"].items()
    texts = [text for name, text in extras if name not in NOT_OF_USERS]
    oldest = {}
    for line in "\n".join([parser["options"]["install_requires"], *texts]).split("\n"):
        if line and not line.startswith("#"):
            found = REQUIREMENT.fullmatch(line)
            if found is None:
                raise ValueError(f"{line!r} in {path.name} must have the form name>=version.")
            oldest[found[1]] = found[2]
    return oldest


def pin(version: str) -> str:
    """Return the bound that allows a version and its bug fixes.

    Examples
    --------
    >>> pin("1.8"), pin("4"), pin("0.1.0")
    ('==1.8.*', '==4.0.*', '==0.1.0.*')
    """
    return f"=={version}.*" if "." in version else f"=={version}.0.*"


if __name__ == "__main__":
    for name, version in list_oldest(ROOT / "setup.cfg").items():
        print(f"{name}{pin(version)}")
