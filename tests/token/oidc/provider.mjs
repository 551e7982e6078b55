// A real OpenID provider, oidc-provider from npm, with one client that gets JWT access tokens. `POST /rotate` gives it a
// new key, with which it signs from then on; the old one stays in its set.

import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

async function newKey(kid) {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  return { ...await exportJWK(privateKey), kid, use: 'sig', alg: 'RS256' };
}

function provider(issuer, keys) {
  const audience = 'https://api.example.com';
  return new Provider(issuer, {
    jwks: { keys },
    clients: [{
      client_id: 'app',
      client_secret: 'made up for this test',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope: 'read write', audience, accessTokenFormat: 'jwt', accessTokenTTL: 3600, jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  }).callback();
}

let answer;
let keys = [await newKey('key-0')];
const server = createServer(async (request, response) => {
  if (request.url === '/rotate') {
    keys = [await newKey(`key-${keys.length}`), ...keys];
    answer = provider(issuer, keys);
    response.end('rotated');
    return;
  }
  answer(request, response);
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const { port } = server.address();
const issuer = `http://127.0.0.1:${port}`;
answer = provider(issuer, keys);
console.log(port);
