// Settlement batches: the last ones by number, updated by the `batches` channel.

import { DASH, grouped, shortHash } from "./format.js";
import { cells, element, setText, syncRows } from "./rows.js";

const KEPT = 40;
const CHANNEL = "batches";
const WORDS = {
  Batching: ["built", "wait"],
  Executing: ["sent", "busy"],
  Proving: ["on chain", "busy"],
  Settling: ["finalizing", "busy"],
  Settled: ["final", "good"],
};

export class Batches {
  constructor(socket) {
    this.socket = socket;
    this.rows = new Map();
    socket.subscribe(CHANNEL, (data) => { this.#add(Array.isArray(data) ? data : [data]); });
  }

  async load() {
    try {
      const result = await this.socket.call("public/get_batches", { limit: KEPT });
      this.#add(result.batches);
    } catch {
      return; // the channel fills the table
    }
  }

  #add(rows) {
    for (const row of rows) this.rows.set(row.seq, { ...this.rows.get(row.seq), ...row });
    const kept = [...this.rows.values()].sort((a, b) => b.seq - a.seq).slice(0, KEPT);
    this.rows = new Map(kept.map((row) => [row.seq, row]));
    this.draw(kept);
  }

  draw(rows = [...this.rows.values()]) {
    syncRows(document.getElementById("batch-rows"), rows, {
      key: (row) => row.seq,
      create: () => { const made = cells(8); made.children[6].append(element("span", { class: "status" })); return made; },
      update: fill,
      empty: "No batch yet: the first one follows the first fills",
    });
    setText(document.getElementById("last-batch"), rows.length ? `#${rows[0].seq}` : DASH);
    setText(document.getElementById("batches-note"), summary(rows));
  }
}

function fill(made, row) {
  const texts = [`#${row.seq}`, grouped(row.fills), grouped(row.legs), row.ratio === null ? DASH : grouped(shortRatio(row)), grouped(row.gas_used), grouped(row.gas_per_fill === null ? null : Math.round(Number(row.gas_per_fill)))];
  texts.forEach((text, place) => setText(made.children[place], text));
  const [word, tone] = WORDS[row.status] ?? [String(row.status), "bad"];
  const status = made.children[6].firstChild;
  setText(status, word);
  status.dataset.tone = tone;
  setText(made.children[7], shortHash(row.tx_hash));
  made.children[7].title = row.tx_hash ?? "";
}

function shortRatio(row) {
  return Number(row.ratio).toFixed(2);
}

function summary(rows) {
  const settled = rows.filter((row) => row.gas_used && row.fills);
  const fills = settled.reduce((sum, row) => sum + Number(row.fills), 0);
  const gas = settled.reduce((sum, row) => sum + Number(row.gas_used), 0);
  return fills ? `${grouped(Math.round(gas / fills))} gas per fill over ${settled.length} batches` : "";
}
