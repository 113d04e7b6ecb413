#!/usr/bin/env node
// Two drivers of the compiler must agree: forge's output against the committed artifacts.
"use strict";
const fs = require("fs");
const path = require("path");

const ROOT = path.join(__dirname, "..");
const readJson = (...parts) => JSON.parse(fs.readFileSync(path.join(ROOT, ...parts), "utf8"));

for (const file of fs.readdirSync(path.join(ROOT, "artifacts"))) {
  const name = path.basename(file, ".json");
  const shipped = readJson("artifacts", file);
  const forged = readJson("out", `${name}.sol`, file);
  const equal = shipped.bytecode === forged.bytecode.object
    && shipped.deployedBytecode === forged.deployedBytecode.object;
  if (!equal) {
    process.stderr.write(`contracts: forge's bytecode of ${name} differs from artifacts/${file}; ` +
      "compare foundry.toml with SETTINGS of tools/build.js\n");
    process.exitCode = 1;
  } else {
    process.stdout.write(`${name}: forge gives the same bytecode\n`);
  }
}
