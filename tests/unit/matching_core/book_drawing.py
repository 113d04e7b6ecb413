"""Books drawn as text, and commands and events as lines, so that a test reads like the situation it is about.

    bid      | price | ask
             |   102 | c:7
             |   101 | a:5 b:3:o9
    d:4:r1   |    99 |

Orders stand oldest first as name:quantity[:attribute...]; o9 is owner 9, r1 reduce-only in cell 1, c1 cell 1 alone, s3
an iceberg that shows slices of 3, g1 guard 1. A drawn iceberg is name:shown+hidden.
Commands: `buy 5@101 [ioc|fok|post|slide|o9|r1|c1|s3|g1|maker|both|decrement] [as name]`, `cancel a`, `amend a 3@101`,
`quote [o9|g1|post|...] 5@99/6@101:a/b ...` (lines as bid/ask, behind them the orders they replace, - for none; what is
accepted is named q1, q2, ...), `cancel-all`, `cancel-owner o9`, `cancel-guard g1`, `auction`, `continuous`,
`uncross 100`.
"""

from matching_core.fills import (
    COMMAND,
    COMMAND_HANDLE,
    EVENT,
    EXTENSION,
    FLAG_EXTENDED,
    FLAG_FOK,
    FLAG_IOC,
    FLAG_POST_ONLY,
    FLAG_REDUCE_ONLY,
    FLAG_SLIDE,
    QUOTE_LINE,
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
PLAIN = {
    "cancel-all": (CoreCommand.CANCEL_INSTRUMENT, 0),
    "cancel-owner": (CoreCommand.CANCEL_OWNER, 0),
    "cancel-guard": (CoreCommand.CANCEL_GUARD, 0),
    "auction": (CoreCommand.SET_PHASE, 1),
    "continuous": (CoreCommand.SET_PHASE, 0),
    "uncross": (CoreCommand.UNCROSS, 0),
}
EVENT_NAMES = {value: name.lower() for name, value in vars(CoreEvent).items() if name.isupper()}
CODE_NAMES = {value: name for name, value in vars(CoreCode).items() if name.isupper()}


class DrawnBook:
    """A real book with names for its orders."""

    def __init__(self, book_class, picture="", cells=None, band=(90, 110), guards=None, **options):
        self.book = book_class(**options)
        self.book.list_instrument(INSTRUMENT, price_min_ticks=band[0], price_max_ticks=band[1])
        self.names = {}
        self.now_ns = 0
        for guard, limits in (guards or {}).items():
            self.book.set_guard(guard, **{"interval_ns": 0, **limits})
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
        if words[0] == "quote":
            return self._pack_quote(words[1:]), "q"
        if words[0] in PLAIN:
            kind, side = PLAIN[words[0]]
            price = int(words[1]) if words[0] == "uncross" else 0
            options = self._options(words[1:] if words[0].startswith("cancel") else [])
            return COMMAND.pack(kind, side, 0, INSTRUMENT, price, 0, options["owner"], options["guard"]), name
        return self._pack_new(words), name

    def _pack_new(self, words):
        quantity, price = map(int, words[1].split("@"))
        options = self._options(words[2:])
        extension = b""
        if options["slice"] or options["guard"]:
            options["flags"] |= FLAG_EXTENDED
            extension = EXTENSION.pack(options["slice"], options["guard"], 0, 0, 0)
        side = 0 if words[0] == "buy" else 1
        row = (side, options["flags"], INSTRUMENT, price, quantity, options["owner"], options["cell"])
        return COMMAND.pack(CoreCommand.NEW, *row) + extension

    def _pack_quote(self, words):
        options = self._options([word for word in words if "/" not in word])
        lines = [self._pack_line(word, options["cell"]) for word in words if "/" in word]
        row = (0, options["flags"], 0, 0, len(lines), options["owner"], options["guard"])
        return COMMAND.pack(CoreCommand.MASS_QUOTE, *row) + b"".join(lines)

    def _pack_line(self, word, cell):
        entries, _, names = word.partition(":")
        (bid_lots, bid), (ask_lots, ask) = (map(int, entry.split("@")) for entry in entries.split("/"))
        handles = [0 if name == "-" else self.handle(name) for name in (names or "-/-").split("/")]
        return QUOTE_LINE.pack(INSTRUMENT, cell, bid, bid_lots, ask, ask_lots, *handles, 0)

    def _options(self, words):
        options = {"flags": 0, "owner": 0, "cell": 0, "slice": 0, "guard": 0}
        letters = {"o": "owner", "r": "cell", "c": "cell", "s": "slice", "g": "guard"}
        for word in words:
            if word == "as":
                break
            if word in WORDS:
                options["flags"] |= WORDS[word]
            else:
                options[letters[word[0]]] = int(word[1:])
                options["flags"] |= FLAG_REDUCE_ONLY if word[0] == "r" else 0
        return options

    def run(self, line):
        """Submit one line and return its events, without the closing depth."""
        return [line for line in self.run_with_depth(line) if not line.startswith("depth")]

    def run_with_depth(self, line):
        """Submit one line and return all its events as lines."""
        command, name = self.pack(line)
        events = list(EVENT.iter_unpack(self.book.submit(command, self.now_ns)))
        self.book.check_invariants()
        accepted = [event[4] for event in events if event[0] == CoreEvent.ACCEPTED]
        for number, handle in enumerate(accepted, start=1):
            self.names[handle] = f"q{number}" if name == "q" else name
        return [self._line(*event) for event in events]

    def _line(self, kind, side, code, _instrument, handle, price, quantity):
        words = [EVENT_NAMES[kind]]
        if kind == CoreEvent.DEPTH:
            words.append("ask" if side else "bid")
        if handle:
            words.append(f"g{handle}" if kind == CoreEvent.GUARD_TRIPPED else self.names[handle])
        if kind == CoreEvent.GUARD_TRIPPED:
            words.append(str(quantity))
        elif price or quantity:
            words.append(f"{quantity}@{price}")
        if code:
            words.append(CODE_NAMES[code])
        return " ".join(words)

    def draw(self):
        """Return the book as rows `bids | price | asks`, highest price first, each order as name:quantity."""
        rows = {}
        for handle, side, price, quantity, _owner, _cell, _flags in self.book.orders(INSTRUMENT):
            hidden = self.book.extension(handle)[1]
            shown = f"{quantity - hidden}+{hidden}" if hidden else quantity
            rows.setdefault(price, ([], []))[side].append(f"{self.names[handle]}:{shown}")
        return [f"{' '.join(rows[p][0])} | {p} | {' '.join(rows[p][1])}" for p in sorted(rows, reverse=True)]


def rows_of(picture):
    """Return the rows of a picture as DrawnBook.draw gives them: attributes and padding dropped."""
    rows = []
    for line in picture.strip().splitlines()[1:]:
        bids, price, asks = (part.split() for part in line.split("|"))
        short = [" ".join(":".join(order.split(":")[:2]) for order in orders) for orders in (bids, asks)]
        rows.append(f"{short[0]} | {price[0]} | {short[1]}")
    return rows
