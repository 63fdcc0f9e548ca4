// Verifies tokens with npm's `jose` and nothing but the published keys.
//
// `node verify.mjs FOLDER`, where FOLDER has node_modules. Reads `{"jwks": URL, "cases": [CASE]}`, a case
// having token, algorithm, issuer, audience and now in seconds; writes for each `{"claims": {}}` or
// `{"refused": CLAIM or CODE}`.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const installed = createRequire(`${process.argv[2]}/`).resolve("jose");
const { createRemoteJWKSet, errors, jwtVerify } = await import(pathToFileURL(installed).href);

async function verify({ token, algorithm, issuer, audience, now }) {
  const expected = { algorithms: [algorithm], issuer, audience, typ: "at+jwt", requiredClaims: ["exp"] };
  try {
    const { payload } = await jwtVerify(token, keys, { ...expected, currentDate: new Date(now * 1000) });
    return { claims: payload };
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    return { refused: error.claim ?? error.code };
  }
}

const { jwks, cases } = JSON.parse(await text(process.stdin));
const keys = createRemoteJWKSet(new URL(jwks));
const answers = [];
for (const asked of cases) answers.push(await verify(asked));
console.log(JSON.stringify(answers));
