#!/usr/bin/env node
// Stands in for settlement/contracts/bin/solc where many compilations follow each other: `serve SOCKET MODULE` keeps the
// compiler loaded and warm, `ask SOCKET ARGUMENTS...` has it compile what comes in by stdin. A cold start costs three
// times as much as a warm compilation of a part.
"use strict";
const fs = require("fs");
const net = require("net");

function titled(solc) {
  const version = solc.version().replace(".Emscripten.clang", ".Linux.g++");
  return `solc, the solidity compiler commandline interface\nVersion: ${version}\n`;
}

function serve(socket, folder) {
  const solc = require(folder);
  const answer = (text) => (text === "" ? titled(solc) : solc.compile(text));
  const server = net.createServer({ allowHalfOpen: true }, (peer) => {
    const parts = [];
    peer.on("data", (part) => parts.push(part));
    peer.on("end", () => peer.end(answer(Buffer.concat(parts).toString("utf8"))));
  });
  server.listen(socket);
  // the parent's end of the pipe closes when it ends
  process.stdin.resume().on("end", () => process.exit(0));
}

function ask(socket, args) {
  const known = args[0] === "--version" || args.includes("--standard-json");
  if (!known) {
    process.stderr.write(`solc wrapper: unknown arguments ${args.join(" ")}\n`);
    process.exit(2);
  }
  const peer = net.createConnection(socket);
  peer.on("error", (error) => {
    process.stderr.write(`solc wrapper: ${error.message}\n`);
    process.exit(1);
  });
  peer.pipe(process.stdout);
  peer.end(args[0] === "--version" ? "" : fs.readFileSync(0, "utf8"));
}

const [, , mode, socket, ...rest] = process.argv;
if (mode === "serve") serve(socket, rest[0]);
else ask(socket, rest);
