#!/usr/bin/env node
// Compiles the shipped contracts, and what benchmarks compare them with, by the npm compiler alone; writes <Name>.json.
// With --check it writes nothing and fails when a committed file differs by a byte. Names restrict it to those.
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const path = require("path");

const ROOT = path.join(__dirname, "..");
const SHIPPED = ["Settlement", "Disputes", "Authority", "Forced", "Bonds", "Markets", "Floors",
  "FastPayments", "Escape", "Notices", "DemoUSDC"];
// What a benchmark compares with is compiled alike and stays beside it: no wheel holds it.
const COMPARED = "../../bench/contracts";
const CONTRACTS = [...SHIPPED, "PerTrade"];
const sourceOf = (name) => SHIPPED.includes(name) ? `src/${name}.sol` : `${COMPARED}/${name}.sol`;
const artifactOf = (name) => path.join(SHIPPED.includes(name) ? "artifacts" : COMPARED, `${name}.json`);
const REMAPPING = ["@openzeppelin/", "node_modules/@openzeppelin/"];
const SETTINGS = {
  evmVersion: "cancun",
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  optimizer: { enabled: true, runs: 10000 },
  remappings: [REMAPPING.join("=")],
  viaIR: true,
};
const SELECTION = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object",
  "evm.deployedBytecode.immutableReferences", "storageLayout"];

class BuildError extends Error {}

const sha256 = (content) => crypto.createHash("sha256").update(content).digest("hex");

function loadCompiler() {
  try {
    return require(path.join(ROOT, "node_modules", "solc"));
  } catch {
    throw new BuildError("the compiler is not installed; run settlement/contracts/tools/setup");
  }
}

// Source keys are the paths that forge uses: both drivers then give the same bytes.
function collectSources(entries) {
  const sources = {};
  const pending = [...entries];
  while (pending.length > 0) {
    const key = pending.pop();
    if (key in sources) continue;
    sources[key] = fs.readFileSync(path.join(ROOT, key), "utf8");
    for (const match of sources[key].matchAll(/^\s*import\s[^;]*?["']([^"']+)["'];/gm)) {
      pending.push(resolveImport(key, match[1]));
    }
  }
  return sources;
}

function resolveImport(from, name) {
  if (name.startsWith(".")) return path.posix.join(path.posix.dirname(from), name);
  return name.startsWith(REMAPPING[0]) ? REMAPPING[1] + name.slice(REMAPPING[0].length) : name;
}

function compile(solc, name) {
  const source = sourceOf(name);
  const sources = collectSources([source]);
  const keys = Object.keys(sources).sort();
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(keys.map((key) => [key, { content: sources[key] }])),
    settings: { ...SETTINGS, outputSelection: { [source]: { [name]: SELECTION } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const errors = (output.errors || []).filter((entry) => entry.severity === "error");
  if (errors.length > 0) throw new BuildError(errors.map((entry) => entry.formattedMessage).join("\n"));
  const hashes = Object.fromEntries(keys.map((key) => [key, sha256(sources[key])]));
  return describe(name, output.contracts[source][name], hashes, solc.version());
}

function describe(name, contract, hashes, version) {
  const deployed = contract.evm.deployedBytecode;
  const codeBytes = deployed.object.length / 2;
  if (codeBytes > 24576) throw new BuildError(`${name} has ${codeBytes} bytes of code, more than the 24,576 allowed`);
  return {
    contractName: name,
    abi: contract.abi,
    bytecode: "0x" + contract.evm.bytecode.object,
    deployedBytecode: "0x" + deployed.object,
    deployedBytecodeSha256: sha256(Buffer.from(deployed.object, "hex")),
    immutableReferences: byPosition(deployed.immutableReferences),
    storageLayout: contract.storageLayout,
    solcVersion: version.replace(".Emscripten.clang", ""),
    settings: SETTINGS,
    sources: hashes,
  };
}

// The keys are syntax tree ids, which say nothing to a reader: list every {start, length} instead.
function byPosition(references) {
  return Object.values(references).flat().sort((a, b) => a.start - b.start);
}

function main() {
  const check = process.argv.includes("--check");
  const solc = loadCompiler();
  const named = process.argv.slice(2).filter((word) => CONTRACTS.includes(word));
  for (const name of named.length > 0 ? named : CONTRACTS) {
    const file = path.join(ROOT, artifactOf(name));
    const text = JSON.stringify(compile(solc, name), null, 1) + "\n";
    if (!check) {
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, text);
    } else if (!fs.existsSync(file) || fs.readFileSync(file, "utf8") !== text) {
      throw new BuildError(`${artifactOf(name)} is stale; run node settlement/contracts/tools/build.js and commit it`);
    }
    process.stdout.write(`${name}: ${check ? "equal to the committed artifact" : "written"}\n`);
  }
}

try {
  main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  process.stderr.write(`contracts: ${error.message}\n`);
  process.exitCode = 1;
}
