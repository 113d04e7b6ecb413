"""The length ratchet: rooms stay small, and what met the budget may not grow past it."""

from tests.architecture.source_tree import ROOT, cython_files, functions, python_files

FILE_LINES_AIMED = 400
FILE_LINES_HARD = 700
FUNCTION_LINES_AIMED = 40
FUNCTION_LINES_HARD = 70
COLUMNS = 120

# What is longer than aimed, with the length it may not exceed. Entries only shrink or go.
LONGER_FILES: dict[str, int] = {}
LONGER_FUNCTIONS: dict[str, int] = {}


def test_files_stay_within_their_budget():
    """No file over 400 lines but those listed, none over 700."""
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in (*python_files(), *cython_files())}
    grown = {
        name: length
        for name, length in lengths.items()
        if length > max(LONGER_FILES.get(name, 0), FILE_LINES_AIMED) or length > FILE_LINES_HARD
    }
    assert grown == {}


def test_functions_stay_within_their_budget():
    """No function over 40 lines of code but those listed, none over 70."""
    lengths = {name: length for path in python_files() for name, length in functions(path)}
    grown = {
        name: length
        for name, length in lengths.items()
        if length > max(LONGER_FUNCTIONS.get(name, 0), FUNCTION_LINES_AIMED) or length > FUNCTION_LINES_HARD
    }
    assert grown == {}


def test_the_lists_hold_nothing_that_met_the_budget():
    """An entry whose room shrank below the budget is taken off the list."""
    files = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in (*python_files(), *cython_files())}
    lengths = {name: length for path in python_files() for name, length in functions(path)}
    stale = [name for name in LONGER_FILES if files.get(name, 0) <= FILE_LINES_AIMED]
    stale += [name for name in LONGER_FUNCTIONS if lengths.get(name, 0) <= FUNCTION_LINES_AIMED]
    assert stale == []


def test_cython_lines_fit_the_screen():
    """ruff holds Python to 120 columns; this holds the rest."""
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in cython_files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > COLUMNS
    ]
    assert wide == []
