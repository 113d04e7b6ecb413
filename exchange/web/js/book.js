// The ladder of the selected instrument, from full snapshots.

import { decimals, grouped, price, size } from "./format.js";
import { cells, setText, syncRows } from "./rows.js";

const LEVELS = 20;
const ROW_PX = 21.5;
const HEAD_PX = 50;

export class Book {
  constructor(socket) {
    this.socket = socket;
    this.channel = null;
    this.frame = null;
    this.due = false;
    new ResizeObserver(() => this.draw()).observe(document.getElementById("spread").closest(".scroll"));
  }

  show(name, instrument) {
    if (this.channel) this.socket.unsubscribe(this.channel);
    this.instrument = instrument;
    this.frame = null;
    this.channel = `orderbook.${name}.1.${LEVELS}`;
    document.getElementById("book-title").textContent = name;
    this.draw();
    this.socket.subscribe(this.channel, (frame) => this.#take(frame));
  }

  #take(frame) {
    this.frame = frame;
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.draw(); });
  }

  draw() {
    const { bids = [], asks = [] } = this.frame ?? {};
    const shown = this.#fitting();
    const most = Math.max(total(bids.slice(0, shown)), total(asks.slice(0, shown)), 1e-12);
    this.#side("ask-rows", cumulated(asks).slice(0, shown).reverse(), "sell", most);
    this.#side("bid-rows", cumulated(bids).slice(0, shown), "buy", most);
    setText(document.getElementById("spread"), this.#spread(bids, asks));
    const units = this.instrument ? `size in ${this.instrument.base_currency}` : "";
    setText(document.getElementById("book-note"), units);
  }

  // As many levels a side as the panel holds, so that the spread stays in sight.
  #fitting() {
    const panel = document.getElementById("spread").closest(".scroll");
    return Math.max(3, Math.min(LEVELS, Math.floor((panel.clientHeight - HEAD_PX) / ROW_PX / 2)));
  }

  #side(id, levels, tone, most) {
    syncRows(document.getElementById(id), levels, {
      key: (level) => level.price,
      create: () => { const row = cells(3); row.firstChild.className = tone; row.lastChild.className = "soft"; return row; },
      update: (row, level) => {
        setText(row.children[0], price(level.price, this.instrument?.tick_size));
        setText(row.children[1], size(level.amount, this.instrument?.amount_step));
        setText(row.children[2], size(level.total, this.instrument?.amount_step));
        row.firstChild.style.setProperty("--depth", `${((level.total / most) * 100).toFixed(1)}%`);
      },
    });
  }

  #spread(bids, asks) {
    if (!this.frame) return "waiting for the book";
    if (!bids.length || !asks.length) return bids.length || asks.length ? "one-sided book" : "empty book";
    const [bid, ask] = [Number(bids[0][0]), Number(asks[0][0])];
    const width = grouped((ask - bid).toFixed(decimals(this.instrument?.tick_size ?? "0.1")));
    return `spread ${width} (${(((ask - bid) / ((ask + bid) / 2)) * 10000).toFixed(1)} bp)`;
  }
}

function cumulated(levels) {
  let sum = 0;
  return levels.map(([text, amount]) => ({ price: text, amount, total: (sum += Number(amount)) }));
}

function total(levels) {
  return levels.reduce((sum, [, amount]) => sum + Number(amount), 0);
}
