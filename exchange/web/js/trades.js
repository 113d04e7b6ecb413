// Trades of the selected instrument: history first, then the stream, newest on top.

import { price, size, time } from "./format.js";
import { cells, setText, syncRows } from "./rows.js";

const KEPT = 60;

export class Trades {
  constructor(socket) {
    this.socket = socket;
    this.channel = null;
    this.trades = [];
  }

  show(name, instrument) {
    if (this.channel) this.socket.unsubscribe(this.channel);
    this.instrument = instrument;
    this.name = name;
    this.channel = `trades.${name}`;
    this.trades = [];
    this.draw();
    this.socket.subscribe(this.channel, (items) => this.#add(items, true));
    this.load();
  }

  async load() {
    const name = this.name;
    if (!name || !this.socket.isOpen) return;
    try {
      const result = await this.socket.call("public/get_trade_history", { instrument_name: name, page_size: 2 * KEPT });
      if (name === this.name) this.#add(result.trades.filter((trade) => trade.liquidity_role === "taker"), false);
    } catch {
      return; // the stream fills the list
    }
  }

  #add(items, fresh) {
    const known = new Set(this.trades.map((trade) => trade.trade_id));
    const added = items.filter((trade) => !known.has(trade.trade_id)).map((trade) => ({ ...trade, fresh }));
    const later = (a, b) => b.timestamp - a.timestamp || (a.trade_id < b.trade_id ? 1 : -1);
    this.trades = [...added, ...this.trades].sort(later).slice(0, KEPT);
    this.draw();
  }

  draw() {
    setText(document.getElementById("trades-note"), this.name ?? "");
    syncRows(document.getElementById("trade-rows"), this.trades, {
      key: (trade) => trade.trade_id,
      create: (trade) => {
        const row = cells(3);
        if (trade.fresh) row.className = "fresh";
        row.children[0].className = trade.direction;
        row.children[2].className = "soft";
        return row;
      },
      update: (row, trade) => {
        setText(row.children[0], price(trade.trade_price, this.instrument?.tick_size));
        setText(row.children[1], size(trade.trade_amount, this.instrument?.amount_step));
        setText(row.children[2], time(trade.timestamp));
      },
      empty: "No trades yet",
    });
  }
}
