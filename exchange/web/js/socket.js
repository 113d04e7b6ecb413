// One reconnecting JSON-RPC socket: calls with their answers, channels with their listeners.

const FIRST_PAUSE_MS = 300;
const LAST_PAUSE_MS = 5000;
const ANSWER_MS = 10000;

export class Socket {
  #url; #onState; #socket = null; #number = 0; #waiting = new Map(); #channels = new Map(); #pause = FIRST_PAUSE_MS;

  constructor(url, onState) {
    this.#url = url;
    this.#onState = onState;
    this.#open();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  call(method, params = {}) {
    if (!this.isOpen) return Promise.reject(new Error("not connected"));
    const id = ++this.#number;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(id, { error: { message: "no answer" } }), ANSWER_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  subscribe(channel, listener) {
    this.#channels.set(channel, listener);
    if (this.isOpen) this.call("subscribe", { channels: [channel] }).catch(() => {});
  }

  unsubscribe(channel) {
    if (this.#channels.delete(channel) && this.isOpen) this.call("unsubscribe", { channels: [channel] }).catch(() => {});
  }

  #open() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => {
      this.#pause = FIRST_PAUSE_MS;
      const channels = [...this.#channels.keys()];
      if (channels.length) this.call("subscribe", { channels }).catch(() => {});
      this.#onState(true);
    };
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = () => {
      for (const id of [...this.#waiting.keys()]) this.#settle(id, { error: { message: "connection lost" } });
      this.#onState(false);
      setTimeout(() => this.#open(), this.#pause);
      this.#pause = Math.min(this.#pause * 2, LAST_PAUSE_MS);
    };
  }

  #take(frame) {
    if (frame.method === "subscription") this.#channels.get(frame.params.channel)?.(frame.params.data);
    else this.#settle(frame.id, frame);
  }

  #settle(id, frame) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if (frame.error) waiting.reject(new Error(`${frame.error.code ?? ""} ${frame.error.message}`));
    else waiting.resolve(frame.result);
  }
}
