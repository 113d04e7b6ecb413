// Puts the parts together: one socket, one selected instrument.

import { Batches } from "./batches.js";
import { Book } from "./book.js";
import { Chain } from "./chain.js";
import { Markets } from "./markets.js";
import { Socket } from "./socket.js";
import { Status } from "./status.js";
import { Trades } from "./trades.js";

const scheme = location.protocol === "https:" ? "wss" : "ws";
const status = new Status();
const socket = new Socket(`${scheme}://${location.host}/v3/ws`, connected);
const book = new Book(socket);
const trades = new Trades(socket);
const batches = new Batches(socket);
const markets = new Markets(socket, { onSelect: show, onChange: changed });
const chain = new Chain(markets);
let shown = null;

markets.draw();
chain.draw();
batches.draw();
show(markets.selected);

async function connected(isOpen) {
  status.connected(isOpen);
  if (!isOpen) return;
  batches.load();
  trades.load();
  await markets.load().catch(() => {});
  await markets.poll();
}

function show(name) {
  shown = markets.instruments.get(name) ?? null;
  book.show(name, shown);
  trades.show(name, shown);
  chain.draw();
}

function changed() {
  status.index(markets.tickers);
  if (!shown && markets.instruments.has(markets.selected)) show(markets.selected);
  chain.draw();
}
