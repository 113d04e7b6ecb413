// The option chain of one expiry: calls left, puts right, strikes between. Rows come from the markets' tickers.

import { DASH, expiryText, grouped, percent, price } from "./format.js";
import { cells, choices, element, setText, syncRows } from "./rows.js";

const CALL = { delta: 0, iv: 1, bid: 2, ask: 3, mark: 4 };
const PUT = { mark: 6, bid: 7, ask: 8, iv: 9, delta: 10 };

export class Chain {
  constructor(markets) {
    this.markets = markets;
    this.chosen = null;
  }

  draw() {
    const chains = this.markets.chains();
    const names = chains.map(({ currency, expiry }) => [`${currency}.${expiry}`, `${currency} ${expiryText(expiry)}`]);
    if (!names.some(([value]) => value === this.chosen)) this.#choose(names[0]?.[0] ?? null);
    choices(document.getElementById("chain-expiries"), names, this.chosen, (value) => { this.#choose(value); this.draw(); });
    const strikes = this.#strikes();
    syncRows(document.getElementById("chain-rows"), strikes, {
      key: (row) => `${this.chosen}.${row.strike}`,
      create: (row) => this.#row(row),
      update: (made, row) => this.#fill(made, row),
      empty: "No options listed",
    });
  }

  #choose(value) {
    this.chosen = value;
    const [currency, expiry] = (value ?? ".").split(".");
    this.markets.first = value ? { currency, expiry } : null;
    if (value && this.markets.socket.isOpen) this.markets.askChain(this.markets.first).then(() => this.draw(), () => {});
  }

  #strikes() {
    const strikes = new Map();
    for (const [name, row] of this.markets.instruments) {
      if (row.instrument_type !== "option" || `${row.base_currency}.${name.split("-")[1]}` !== this.chosen) continue;
      const strike = row.option_details.strike;
      if (!strikes.has(strike)) strikes.set(strike, { strike });
      strikes.get(strike)[row.option_details.option_type] = name;
    }
    return [...strikes.values()].sort((a, b) => Number(a.strike) - Number(b.strike));
  }

  #row(row) {
    const made = cells(11);
    made.children[5].className = "strike";
    for (const [side, places] of [["C", CALL], ["P", PUT]]) {
      const name = row[side];
      const label = `${name}: show its book`;
      if (name) made.children[places.mark].append(element("button", { type: "button", "aria-label": label, onclick: () => this.markets.select(name) }));
      made.children[places.bid].className = "buy";
      made.children[places.ask].className = "sell";
      made.children[places.delta].className = "soft";
    }
    return made;
  }

  #fill(made, row) {
    setText(made.children[5], grouped(row.strike));
    for (const [side, places] of [["C", CALL], ["P", PUT]]) {
      const instrument = this.markets.instruments.get(row[side]);
      const ticker = this.markets.tickers.get(row[side]);
      const model = ticker?.option_pricing;
      const tick = instrument?.tick_size;
      setText(made.children[places.delta], model ? Number(model.d).toFixed(2) : DASH);
      setText(made.children[places.iv], model ? percent(model.i) : DASH);
      setText(made.children[places.bid], price(ticker?.b, tick));
      setText(made.children[places.ask], price(ticker?.a, tick));
      const button = made.children[places.mark].firstChild;
      if (button) setText(button, ticker ? price(ticker.M, tick) : DASH);
      const index = Number(ticker?.I ?? 0);
      const inside = index > 0 && (side === "C" ? Number(row.strike) < index : Number(row.strike) > index);
      for (const place of Object.values(places)) {
        made.children[place].classList.toggle("inside", inside);
        made.children[place].setAttribute("aria-selected", String(row[side] === this.markets.selected));
      }
    }
  }
}
