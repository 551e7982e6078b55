// Makes and judges tokens with the npm package jose: what a third library says that nobody of Tollgate wrote.
//
// make KEYS            prints [[maker, algorithm, token], ...]
// judge KEYS TOKENS    prints [accepted, ...], in the order of the tokens

import { readFileSync } from 'node:fs';
import { SignJWT, createLocalJWKSet, importPKCS8, jwtVerify } from 'jose';

const [task, keysFile, tokensFile] = process.argv.slice(2);
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));
const { keys, issuer, audience } = read(keysFile);

async function make() {
  const made = [];
  for (const { alg, kid, pem } of keys) {
    const key = await importPKCS8(pem, alg);
    for (const [typ, aud] of [['JWT', audience], ['at+jwt', ['other', audience]]]) {
      const token = await new SignJWT({ scope: 'read write', more: { name: 'Zoë ☃' } })
        .setProtectedHeader({ alg, kid, typ })
        .setIssuer(issuer).setSubject('user').setAudience(aud)
        .setIssuedAt().setNotBefore('0s').setExpirationTime('1h')
        .sign(key);
      made.push(['jose', alg, token]);
    }
  }
  return made;
}

async function judge(tokens) {
  const set = createLocalJWKSet({ keys: keys.map(({ jwk }) => jwk) });
  const demands = {
    issuer, audience, algorithms: keys.map(({ alg }) => alg), requiredClaims: ['exp', 'sub'], clockTolerance: 5,
  };
  const verdicts = [];
  for (const token of tokens) {
    // Whatever is thrown at a forged token is a refusal.
    verdicts.push(await jwtVerify(token, set, demands).then(() => true, () => false));
  }
  return verdicts;
}

console.log(JSON.stringify(task === 'make' ? await make() : await judge(read(tokensFile))));
