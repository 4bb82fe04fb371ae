"""What the wheel holds."""

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_package_is_installed():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "imgfeat").rglob("__init__.py")}
    found = {".".join(folder.parts) for folder in folders} | {"imgfeat.pipelines"}
    assert found == set(config["options"]["packages"].split())
