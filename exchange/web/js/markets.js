// The instrument list and the tickers behind it: perpetuals every second, option chains in turn.

import { DASH, price } from "./format.js";
import { cells, choices, element, setText, syncRows } from "./rows.js";

const PERPETUAL_MS = 1000;
const RELOAD_EVERY = 60;

export class Markets {
  constructor(socket, { onSelect, onChange }) {
    this.socket = socket;
    this.onSelect = onSelect;
    this.onChange = onChange;
    this.instruments = new Map();
    this.tickers = new Map();
    this.filter = "all";
    this.selected = "BTC-PERP";
    this.first = null;
    this.turn = 0;
    this.body = document.getElementById("market-rows");
    this.body.addEventListener("keydown", (event) => this.#move(event));
    setInterval(() => this.poll(), PERPETUAL_MS);
  }

  async load() {
    const rows = [];
    for (const instrument_type of ["perp", "option"]) {
      const result = await this.socket.call("public/get_all_instruments", { instrument_type, expired: false, page: 1, page_size: 1000 });
      rows.push(...result.instruments);
    }
    rows.sort((a, b) => (a.instrument_type === b.instrument_type ? 0 : a.instrument_type === "perp" ? -1 : 1) || order(a, b));
    this.instruments = new Map(rows.map((row) => [row.instrument_name, row]));
    if (!this.instruments.has(this.selected) && rows.length) this.select(rows[0].instrument_name);
    this.onChange();
    this.draw();
  }

  chains() {
    const chains = new Map();
    for (const [name, row] of this.instruments) {
      if (row.instrument_type !== "option") continue;
      const [currency, expiry] = name.split("-");
      chains.set(`${currency}.${expiry}`, { currency, expiry });
    }
    return [...chains.values()].sort((a, b) => a.currency.localeCompare(b.currency) || a.expiry.localeCompare(b.expiry));
  }

  async poll() {
    if (!this.socket.isOpen || document.hidden) return;
    try {
      this.turn += 1;
      if (!this.instruments.size || this.turn % RELOAD_EVERY === 0) await this.load();
      await this.#ask({ instrument_type: "perp" });
      const chains = this.chains();
      if (chains.length) await this.askChain(chains[this.turn % chains.length]);
      if (this.first) await this.askChain(this.first);
    } catch {
      return; // the socket says so in the status bar; the next second tries again
    }
    this.onChange();
    this.draw();
  }

  askChain({ currency, expiry }) {
    return this.#ask({ instrument_type: "option", currency, expiry_date: expiry });
  }

  select(name) {
    this.selected = name;
    this.draw();
    this.onSelect(name);
  }

  draw() {
    const currencies = [...new Set([...this.instruments.values()].map((row) => row.base_currency))].sort();
    const options = [["all", "All"], ["perp", "Perpetuals"], ...currencies.map((name) => [name, name])];
    choices(document.getElementById("market-filter"), options, this.filter, (value) => { this.filter = value; this.draw(); });
    const rows = [...this.instruments.values()].filter((row) => this.filter === "all" || row.instrument_type === this.filter || row.base_currency === this.filter);
    syncRows(this.body, rows, {
      key: (row) => row.instrument_name,
      create: (row) => this.#row(row),
      update: (element, row) => this.#fill(element, row),
      empty: this.socket.isOpen ? "No instruments yet" : "Waiting for the exchange",
    });
  }

  #row(row) {
    const made = cells(4);
    const button = element("button", { type: "button", onclick: () => this.select(row.instrument_name) }, row.instrument_name);
    made.firstChild.append(button);
    made.children[2].className = "buy";
    made.children[3].className = "sell";
    return made;
  }

  #fill(made, row) {
    const ticker = this.tickers.get(row.instrument_name);
    made.setAttribute("aria-selected", String(row.instrument_name === this.selected));
    const mark = ticker ? price(ticker.M, row.tick_size) : DASH;
    setText(made.children[1], mark);
    setText(made.children[2], ticker ? price(ticker.b, row.tick_size) : DASH);
    setText(made.children[3], ticker ? price(ticker.a, row.tick_size) : DASH);
  }

  async #ask(params) {
    const result = await this.socket.call("public/get_tickers", params);
    for (const [name, ticker] of Object.entries(result.tickers)) this.tickers.set(name, ticker);
  }

  #move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const row = step && event.target.closest("tr")?.[step];
    if (!row?.querySelector("button")) return;
    event.preventDefault();
    row.querySelector("button").focus();
  }
}

function order(a, b) {
  const key = (row) => [row.base_currency, row.option_details?.expiry ?? 0, Number(row.option_details?.strike ?? 0), row.instrument_name];
  const [left, right] = [key(a), key(b)];
  const place = left.findIndex((value, index) => value !== right[index]);
  return place < 0 ? 0 : left[place] < right[place] ? -1 : 1;
}
