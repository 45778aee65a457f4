"""`python -m benchmarks`: which benchmarks there are, and how each is run."""

import ast
from pathlib import Path


def main() -> None:
    """Print every benchmark's command with the first line of what it says about itself."""
    for path in sorted(Path(__file__).parent.glob("*/__main__.py")):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        print(f"python -m benchmarks.{path.parent.name}\n    {said.partition(chr(10))[0]}")


if __name__ == "__main__":
    main()
