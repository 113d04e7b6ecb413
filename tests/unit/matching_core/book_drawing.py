"""Books drawn as text, and commands and events as lines, so that a test reads like the situation it is about.

    bid      | price | ask
             |   102 | c:7
             |   101 | a:5 b:3:o9
    d:4:r1   |    99 |

Orders stand oldest first as name:quantity[:attribute...]; o9 is owner 9, r1 reduce-only in cell 1, c1 cell 1 alone.
Commands: `buy 5@101 [ioc|fok|post|slide|o9|r1|c1|maker|both|decrement] [as name]`, `cancel a`, `amend a 3@101`.
"""

from matching_core.fills import (
    COMMAND,
    COMMAND_HANDLE,
    EVENT,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    STP_CANCEL_BOTH,
    STP_CANCEL_MAKER,
    STP_DECREMENT_BOTH,
    STP_SHIFT,
    CoreCode,
    CoreCommand,
    CoreEvent,
)

__all__ = ["INSTRUMENT", "DrawnBook"]

INSTRUMENT = 0x8000_0007
WORDS = {
    "ioc": FLAG_IOC,
    "fok": FLAG_FOK,
    "post": FLAG_POST_ONLY,
    "slide": FLAG_POST_ONLY | FLAG_SLIDE,
    "maker": STP_CANCEL_MAKER << STP_SHIFT,
    "both": STP_CANCEL_BOTH << STP_SHIFT,
    "decrement": STP_DECREMENT_BOTH << STP_SHIFT,
}
EVENT_NAMES = {value: name.lower() for name, value in vars(CoreEvent).items() if name.isupper()}
CODE_NAMES = {value: name for name, value in vars(CoreCode).items() if name.isupper()}


class DrawnBook:
    """A real book with names for its orders."""

    def __init__(self, book_class, picture="", cells=None, band=(90, 110), **options):
        self.book = book_class(**options)
        self.book.list_instrument(INSTRUMENT, price_min_ticks=band[0], price_max_ticks=band[1])
        self.names = {}
        self._set_cells({1: 1_000_000, 2: -1_000_000})
        for line in picture.strip().splitlines()[1:]:
            bids, price, asks = (part.strip() for part in line.split("|"))
            for side, orders in (("buy", bids), ("sell", asks)):
                for order in orders.split():
                    name, quantity, *attributes = order.split(":")
                    self.run(f"{side} {quantity}@{price} {' '.join(attributes)} as {name}")
        self._set_cells({1: 0, 2: 0} | (cells or {}))

    def _set_cells(self, cells):
        for cell, position in cells.items():
            self.book.set_cell(cell, position)

    def handle(self, name):
        """Return the handle an order got, also when it is gone."""
        return next(handle for handle, known in self.names.items() if known == name)

    def pack(self, line):
        """Return the packed command of a line, and the name its order shall have."""
        words = line.split()
        name = words[words.index("as") + 1] if "as" in words else "t"
        if words[0] == "cancel":
            return COMMAND_HANDLE.pack(CoreCommand.CANCEL, 0, 0, INSTRUMENT, 0, 0, self.handle(words[1])), name
        if words[0] == "amend":
            quantity, price = map(int, words[2].split("@"))
            handle = self.handle(words[1])
            return COMMAND_HANDLE.pack(CoreCommand.AMEND, 0, 0, INSTRUMENT, price, quantity, handle), name
        quantity, price = map(int, words[1].split("@"))
        flags, owner, cell = self._options(words[2:])
        side = 0 if words[0] == "buy" else 1
        return COMMAND.pack(CoreCommand.NEW, side, flags, INSTRUMENT, price, quantity, owner, cell), name

    def _options(self, words):
        flags = owner = cell = 0
        for word in words:
            if word == "as":
                break
            if word in WORDS:
                flags |= WORDS[word]
            elif word[0] == "o":
                owner = int(word[1:])
            else:
                cell = int(word[1:])
                flags |= FLAG_REDUCE_ONLY if word[0] == "r" else 0
        return flags, owner, cell

    def run(self, line):
        """Submit one line and return its events, without the closing depth."""
        return [line for line in self.run_with_depth(line) if not line.startswith("depth")]

    def run_with_depth(self, line):
        """Submit one line and return all its events as lines."""
        command, name = self.pack(line)
        events = list(EVENT.iter_unpack(self.book.submit(command)))
        self.book.check_invariants()
        if events[0][0] == CoreEvent.ACCEPTED:
            self.names[events[0][4]] = name
        return [self._line(*event) for event in events]

    def _line(self, kind, side, code, _instrument, handle, price, quantity):
        words = [EVENT_NAMES[kind]]
        if kind == CoreEvent.DEPTH:
            words.append("ask" if side else "bid")
        if handle:
            words.append(self.names[handle])
        if price or quantity:
            words.append(f"{quantity}@{price}")
        if code:
            words.append(CODE_NAMES[code])
        return " ".join(words)

    def draw(self):
        """Return the book as rows `bids | price | asks`, highest price first, each order as name:quantity."""
        rows = {}
        for handle, side, price, quantity, _owner, _cell, _flags in self.book.orders(INSTRUMENT):
            rows.setdefault(price, ([], []))[side].append(f"{self.names[handle]}:{quantity}")
        return [f"{' '.join(rows[p][0])} | {p} | {' '.join(rows[p][1])}" for p in sorted(rows, reverse=True)]


def rows_of(picture):
    """Return the rows of a picture as DrawnBook.draw gives them: attributes and padding dropped."""
    rows = []
    for line in picture.strip().splitlines()[1:]:
        bids, price, asks = (part.split() for part in line.split("|"))
        short = [" ".join(":".join(order.split(":")[:2]) for order in orders) for orders in (bids, asks)]
        rows.append(f"{short[0]} | {price[0]} | {short[1]}")
    return rows
