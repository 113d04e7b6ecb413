// The status bar: connection, chain, rates. Rates are differences of the exchange's counters.

import { grouped, price } from "./format.js";
import { setText } from "./rows.js";

const READY_MS = 2000;
const COUNTERS = {
  "orders-rate": /^offbook_requests_total\{[^}]*method="private\/(order|replace)"/,
  "fills-rate": /^offbook_fills_total[ {]/,
};

// What the poster does matters less than that the chain answers.
const CHAIN_WORDS = { idle: "chain up", waiting: "chain up" };

export class Status {
  constructor() {
    this.previous = null;
    this.wasOpen = false;
    setInterval(() => this.poll(), READY_MS);
  }

  connected(isOpen) {
    const words = isOpen ? ["live", "good"] : this.wasOpen ? ["reconnecting", "bad"] : ["connecting", "warn"];
    this.wasOpen ||= isOpen;
    this.isOpen = isOpen;
    tone("connection-state", ...words);
    if (!isOpen) banner("Connection lost: showing the last known state, trying again");
    this.poll();
  }

  index(tickers) {
    for (const currency of ["BTC", "ETH"]) {
      const ticker = tickers.get(`${currency}-PERP`);
      if (ticker) setText(document.getElementById(`index-${currency}`), price(ticker.I, "0.01"));
    }
  }

  async poll() {
    if (!this.isOpen || document.hidden) return;
    try {
      const [ready, metrics] = await Promise.all([fetch("/ready").then((reply) => reply.json()), fetch("/metrics").then((reply) => reply.text())]);
      if (!this.isOpen) return;
      this.#show(ready);
      this.#rates(metrics);
    } catch {
      return; // the socket's state is what the bar shows
    }
  }

  #show(ready) {
    if (ready.degraded) {
      tone("chain-state", "chain down", "bad");
      const waiting = /([1-9]\d*) batch/.exec(ready.reason ?? "");
      banner(`Chain down, batches wait${waiting ? ` (${waiting[1]} now)` : ""}. Trading goes on.`, ready.reason);
    } else if (!ready.ready) {
      tone("chain-state", "starting", "warn");
      banner(ready.reason ? `Not ready: ${ready.reason}` : "Not ready yet");
    } else {
      const isKnown = ready.chain && ready.chain !== "unknown";
      const words = CHAIN_WORDS[ready.chain] ?? `chain ${ready.chain}`;
      tone("chain-state", isKnown ? words : "chain –", isKnown ? "good" : "quiet");
      banner("");
    }
  }

  #rates(text) {
    const now = performance.now();
    const totals = {};
    for (const [id, pattern] of Object.entries(COUNTERS)) totals[id] = total(text, pattern);
    if (this.previous) {
      const seconds = (now - this.previous.at) / 1000;
      for (const [id, value] of Object.entries(totals)) {
        const rate = Math.max(0, value - this.previous.totals[id]) / seconds;
        if (seconds > 0.5) setText(document.getElementById(id), Number.isNaN(rate) ? "–" : grouped(rate.toFixed(1)));
      }
      if (seconds <= 0.5) return;
    }
    this.previous = { at: now, totals };
  }
}

function total(text, pattern) {
  let sum = NaN;
  for (const line of text.split("\n")) {
    if (pattern.test(line)) sum = (Number.isNaN(sum) ? 0 : sum) + Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}

function tone(id, text, value) {
  const node = document.getElementById(id);
  setText(node, text);
  node.dataset.tone = value;
}

function banner(text, detail = "") {
  const node = document.getElementById("banner");
  setText(node, text);
  node.title = detail;
  node.hidden = !text;
}
