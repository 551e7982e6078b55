// A stand-in for Auth0: oidc-provider from npm, whose JWT access tokens are those of Auth0's two profiles. A token request
// says in its query which (`profile=auth0|rfc9068`), whether `aud` is an array (`aud=array`), and `permissions`.
//
// `grant_type=client_credentials` is a machine's; `grant_type=password` (a grant of this server's own, since a browser that
// logs in by hand is nothing that a test wants) is a user's, whose address is `username`.
//
// `POST /rotate` gives it a new key, with which it signs from then on; the old one stays in its set.
// `POST /keys?MODE` makes its JWKS endpoint answer well (`good`), not at all (`down`), only when it is good again (`slow`),
// with a page (`html`), or with a key of its own making under the ids of the right ones (`wrong`).

import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const audience = 'https://api.example.com';

async function newKey(kid) {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  return { ...await exportJWK(privateKey), kid, use: 'sig', alg: 'RS256' };
}

function customize(context, token, jwt) {
  const { query } = context;
  const claims = jwt.payload;
  const user = token.accountId;
  if (query.aud === 'array') claims.aud = [audience, `${issuer}userinfo`];
  if (query.permissions) claims.permissions = query.permissions.split(' ');
  if (user) {
    claims.sub = `auth0|${user.split('@')[0]}`;
    claims.email = user;
    claims.email_verified = query.verified !== 'no';
    if (query.amr) claims.amr = query.amr.split(' ');
  }
  if (query.profile === 'auth0') {
    jwt.header = { typ: 'JWT' };
    claims.azp = claims.client_id;
    delete claims.client_id;
    delete claims.jti;
    if (!user) {
      claims.gty = 'client-credentials';
      claims.sub = `${claims.azp}@clients`;
    }
  }
}

function provider(keys) {
  const made = new Provider(issuer, {
    jwks: { keys },
    clients: ['backend', 'other'].map((client_id) => ({
      client_id,
      client_secret: 'made up for this test',
      grant_types: ['client_credentials', 'password'],
      redirect_uris: [],
      response_types: [],
    })),
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    formats: { customizers: { jwt: customize } },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: true, defaultResource: () => audience, getResourceServerInfo: () => api },
    },
  });
  made.registerGrantType('password', async (context) => {
    const { client, params } = context.oidc;
    const token = new made.AccessToken({ accountId: params.username, client, grantId: 'none', gty: 'password', scope: 'openid' });
    token.resourceServer = new made.ResourceServer(audience, api);
    context.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration };
  }, ['username', 'password']);
  return made.callback();
}

const api = {
  scope: 'openid login:users', audience, accessTokenFormat: 'jwt', accessTokenTTL: 3600, jwt: { sign: { alg: 'RS256' } },
};
let mode = 'good';
let waiting = [];

const server = createServer(async (request, response) => {
  const { pathname, search } = new URL(request.url, 'http://localhost');
  if (pathname === '/rotate') {
    keys = [await newKey(`key-${keys.length}`), ...keys];
    answer = provider(keys);
    response.end('rotated');
  } else if (pathname === '/keys') {
    mode = search.slice(1);
    if (mode === 'good') {
      waiting.forEach(([held, reply]) => answer(held, reply));
      waiting = [];
    }
    response.end(mode);
  } else if (pathname === '/jwks' && mode !== 'good') {
    if (mode === 'down') request.socket.destroy();
    else if (mode === 'slow') waiting.push([request, response]);
    else if (mode === 'html') response.setHeader('Content-Type', 'text/html').end('<html><body>Come back later</body></html>');
    else {
      const { n } = await newKey('');
      response.setHeader('Content-Type', 'application/jwk-set+json');
      response.end(JSON.stringify({ keys: keys.map(({ kid }) => ({ kty: 'RSA', use: 'sig', alg: 'RS256', kid, n, e: 'AQAB' })) }));
    }
  } else {
    answer(request, response);
  }
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const { port } = server.address();
const issuer = `http://127.0.0.1:${port}/`;
let keys = [await newKey('key-0')];
let answer = provider(keys);
console.log(port);
