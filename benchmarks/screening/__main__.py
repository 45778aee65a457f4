"""What screening is worth, measured: `python -m benchmarks.screening chosen` and `... price`.

`chosen`  trains, for every cell of a kept sweep, the scale that screening chooses with a predictor that never saw the
          cell, beside the default, fixed scales and a random one
`price`   rank correlation of expected and final loss by number of sequences and exponents, with milliseconds

Rows go to docs/results/screening-*.csv; what stands there is not measured again. Tables go to the terminal.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.screening import chosen, price, tables
from benchmarks.shared.rows import Rows

RESULTS = Path("docs/results")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screening", description=__doc__)
    parser.add_argument("part", choices=("chosen", "price"))
    parser.add_argument("--task", help="one task alone")
    parser.add_argument("--data", help="directory with MNIST's four IDX files; downloaded where it is not given")
    parser.add_argument("--show", action="store_true", help="print the tables of what is there, measure nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the CSV files")
    options = parser.parse_args(arguments)
    chosen.seed_everything()
    if options.part == "chosen":
        rows = Rows(options.results / "screening-chosen.csv", chosen.KEY, chosen.VALUES)
        for name, setting in chosen.SETTINGS.items():
            for cell in () if options.show or options.task not in (None, name) else chosen.missing(setting, rows):
                print(f"{name} {cell}", flush=True)
                chosen.measure(setting, cell, rows, options.data if setting.task == "smnist" else None)
        print(tables.of_chosen(rows))
    else:
        rows = Rows(options.results / "screening-price.csv", price.KEY, price.VALUES)
        for name in price.SWEEPS:
            if not options.show and options.task in (None, name):
                price.measure(name, rows, options.data)
        print(tables.of_price(rows))


if __name__ == "__main__":
    main()
