"""What the gate is compared with. Each has one worker on one core, keeps connections, and logs no requests."""

import os

from .servers import Server, new
from .gate import KEY, ORIGIN
from .tokens import AUDIENCE, ISSUER

NGINX = """
daemon off; master_process off; pid nginx.pid; error_log error.log warn; worker_rlimit_nofile 16384;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_timeout 1h; keepalive_requests 1000000000;
{rest}
}}
"""

# The app: 20 bytes for everybody. At /app/echo it says what it was told of the caller.
APP = """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type text/plain;
        location / {{ return 200 "this is 20 bytes ok\\n"; }}
        location = /app/echo {{
            return 200 "subject=$http_x_auth_subject key=$http_x_api_key token=$http_authorization\\n";
        }}
    }}
"""

NGINX_PROXY = """
    upstream app {{ server 127.0.0.1:{app}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 1h; }}
    upstream responder {{ server 127.0.0.1:{responder}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 1h; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            {check}
            proxy_pass http://app;
        }}
        location = /judge {{
            internal;
            proxy_pass http://responder;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
    }}
"""

NGINX_CHECK = """auth_request /judge;
            auth_request_set $subject $upstream_http_x_auth_subject;
            proxy_set_header X-Auth-Subject $subject;"""

HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 60s
    timeout http-keep-alive 1h
listen it
    bind 127.0.0.1:{port}{bind}
{rules}
    {server}
"""

# What its documentation shows: algorithm, signature, expiry, and the subject for the app.
HAPROXY_JWT = """
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(txn.alg,"{key}") -m int 1 }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
"""
HAPROXY_SUBJECT = """
    http-request set-header X-Auth-Subject %[var(txn.token),jwt_payload_query('$.sub')]
"""
HAPROXY_RETURN = """
    http-request return status 200 hdr X-Auth-Subject %[var(txn.token),jwt_payload_query('$.sub')]
"""

# As much of what the gate does as its rules can say.
HAPROXY_SAME = """
    http-request deny deny_status 403 unless {{ req.hdr(x-api-key) -m found }}
    http-request deny deny_status 400 unless {{ req.hdr(x-api-key) -m str {api_key} }}
    http-request deny deny_status 403 if {{ req.hdr(origin) -m found }} !{{ req.hdr(origin) -m str {origin} }}
{jwt}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_header_query('$.typ') -m str at+jwt }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.aud') -m str {audience} }}
    http-request set-var(txn.nbf) var(txn.token),jwt_payload_query('$.nbf','int')
    http-request deny deny_status 401 if {{ var(txn.nbf),sub(txn.now) -m int gt 5 }}
    http-request del-header x-auth- -m beg
    http-request del-header x-forwarded- -m beg
    http-request del-header forwarded
    http-request del-header x-real-ip
    http-request del-header x-api-key
    http-request del-header authorization
{subject}
    http-request set-header X-Auth-Username %[var(txn.token),jwt_payload_query('$.username')]
    http-request set-header X-Auth-Token-Id %[var(txn.token),jwt_payload_query('$.jti')]
    http-request set-header X-Auth-Realm app
    http-request set-header X-Request-Id %[uuid()]
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-response set-header Access-Control-Allow-Origin {origin} if {{ capture.req.hdr(0) -m found }}
    http-response add-header Vary Origin
"""

CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    {check}
    reverse_proxy 127.0.0.1:{app}
}}
"""

APACHE = """
ServerRoot {directory}
PidFile {directory}/pid
ErrorLog {directory}/error.log
LogLevel crit
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
{load}
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
KeepAlive On
KeepAliveTimeout 3600
MaxKeepAliveRequests 0
ProxyPass / http://127.0.0.1:{app}/
{check}
"""

APACHE_CHECK = """
OIDCOAuthVerifySharedKeys plain#{kid}#{secret}
OIDCOAuthRemoteUserClaim sub
OIDCAuthNHeader X-Auth-Subject
OIDCPassClaimsAs none
<Location />
    AuthType oauth20
    Require valid-user
</Location>
"""
APACHE_LOAD = """
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule auth_openidc_module /usr/lib/apache2/modules/mod_auth_openidc.so
"""


def nginx(directory, name, rest, **values):
    directory, port = new(directory, name)
    # One process: there is nobody else to watch it.
    text = NGINX.format(rest=rest.format(port=port, **values))
    (directory / "nginx.conf").write_text(text)
    argv = ["nginx", "-p", directory, "-c", directory / "nginx.conf", "-e", directory / "error.log"]
    return Server(name, directory, argv, port)


def app(directory):
    """What stands behind all of them."""
    return nginx(directory, "app", APP)


def nginx_plain(directory, app):
    return nginx(directory, "nginx", NGINX_PROXY, app=app.port, responder=app.port, check="")


def nginx_auth_request(directory, app, responder):
    return nginx(directory, "nginx-auth-request", NGINX_PROXY, app=app.port, responder=responder.port, check=NGINX_CHECK)


def haproxy(directory, name, rules, app=None, bind=""):
    directory, port = new(directory, name)
    server = f"server app 127.0.0.1:{app.port}" if app else ""
    (directory / "haproxy.cfg").write_text(HAPROXY.format(port=port, bind=bind, rules=rules, server=server))
    return Server(name, directory, ["haproxy", "-f", directory / "haproxy.cfg"], port)


def jwt_rules(key):
    return HAPROXY_JWT.format(algorithm=key.algorithm, key=key.secret or key.pem)


def haproxy_plain(directory, app, name="haproxy", bind=""):
    return haproxy(directory, name, "", app, bind)


def haproxy_jwt(directory, app, key, name=None, bind=""):
    return haproxy(directory, name or f"haproxy-{key.algorithm.lower()}", jwt_rules(key) + HAPROXY_SUBJECT, app, bind)


def haproxy_same(directory, app, key):
    rules = "    declare capture request len 128\n    http-request capture req.hdr(origin) id 0\n" + HAPROXY_SAME.format(
        jwt=jwt_rules(key), subject=HAPROXY_SUBJECT, api_key=KEY, origin=ORIGIN, issuer=ISSUER, audience=AUDIENCE
    )
    return haproxy(directory, f"haproxy-same-{key.algorithm.lower()}", rules, app)


def responder(directory, key):
    """Judges tokens for nginx and Caddy: the cheapest that is for sale."""
    return haproxy(directory, "responder", jwt_rules(key) + HAPROXY_RETURN)


def caddy(directory, app, responder=None):
    directory, port = new(directory, "caddy-forward-auth" if responder else "caddy")
    check = f"forward_auth 127.0.0.1:{responder.port} {{\nuri /\ncopy_headers X-Auth-Subject\n}}" if responder else ""
    (directory / "Caddyfile").write_text(CADDY.format(port=port, app=app.port, check=check))
    environment = os.environ | {"GOMAXPROCS": "1"} | {home: str(directory) for home in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    argv = ["caddy", "run", "--config", directory / "Caddyfile", "--adapter", "caddyfile"]
    return Server(directory.name, directory, argv, port, env=environment)


def apache(directory, app, key=None):
    directory, port = new(directory, "apache-openidc" if key else "apache")
    check, load = (APACHE_CHECK.format(kid=key.kid, secret=key.secret), APACHE_LOAD) if key else ("", "")
    text = APACHE.format(directory=directory, port=port, app=app.port, check=check, load=load)
    (directory / "apache.conf").write_text(text)
    # A thread a connection: one core is as near as it gets to one worker.
    argv = ["taskset", "-c", str(min(os.sched_getaffinity(0))), "apache2", "-D", "FOREGROUND", "-f", directory / "apache.conf"]
    return Server(directory.name, directory, argv, port)


def bare(directory, binary, app, name="bare", *options):
    directory, port = new(directory, name)
    return Server(name, directory, [binary, f"127.0.0.1:{port}", f"127.0.0.1:{app.port}", "1", *options], port)
