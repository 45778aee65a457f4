"""`python -m benchmarks`: which benchmarks there are, and how each is run."""

import importlib
import pkgutil

import benchmarks


def main() -> None:
    """Print every benchmark's command with the first line of what it says about itself."""
    for package in pkgutil.iter_modules(benchmarks.__path__):
        name = f"benchmarks.{package.name}"
        if package.ispkg and importlib.util.find_spec(f"{name}.__main__"):
            module = importlib.import_module(f"{name}.__main__")
            print(f"python -m {name}\n    {(module.__doc__ or '').strip().splitlines()[0]}")


if __name__ == "__main__":
    main()
