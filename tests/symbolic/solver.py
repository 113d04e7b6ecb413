"""`solver.py FILE`: the verdict of bitwuzla on one query of halmos, and a model where there is one.

halmos comes with yices 2.6.4, which calls one of our queries satisfiable that is not (DECISIONS.md 35); bitwuzla is
on the package index as a library alone. Killed by halmos when it takes longer than its time.
"""

import sys

from bitwuzla import Option, Options, Parser, TermManager


def main() -> None:
    """Run the file; what it asks is written to the standard output as it is answered."""
    options = Options()
    options.set(Option.PRODUCE_MODELS, True)
    Parser(TermManager(), options).parse(sys.argv[1])


if __name__ == "__main__":
    main()
