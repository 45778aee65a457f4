"""Print, as constraints, the oldest versions that pyproject.toml allows of what the core's numbers depend on."""

import re
import tomllib
from pathlib import Path

PACKAGES = ("torch", "numpy", "scikit-learn")

if __name__ == "__main__":
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name, version = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement).groups()
        if name in PACKAGES:
            print(f"{name}=={version}.*" if version.count(".") == 1 else f"{name}=={version}")
