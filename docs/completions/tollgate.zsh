#compdef tollgate

autoload -U is-at-least

_tollgate() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_tollgate_commands" \
"*::: :->tollgate" \
&& ret=0
    case $state in
    (tollgate)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tollgate-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--allow-core-dumps[Allow core dumps and debuggers\: both show signing keys and passwords]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(demo)
_arguments "${_arguments_options[@]}" : \
'--listen=[Listen address; a free port is used if it is in use]:ADDRESS:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--strict[Treat warnings as errors]' \
'--json[Print errors and warnings as a JSON array\: severity, file, line, column, key, message and remedy of each]' \
'--offline[Do not contact the database server and the trusted issuers, and do not resolve the names of upstreams]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'*-H+[A header of the request; can be repeated. Its credentials are not printed]:NAME: VALUE:_default' \
'*--header=[A header of the request; can be repeated. Its credentials are not printed]:NAME: VALUE:_default' \
'--from=[IP address of the client]:ADDRESS:_default' \
'-h[Print help]' \
'--help[Print help]' \
':method -- HTTP method of the request:_default' \
':url -- https\://HOST/PATH?QUERY, http\://…, or /PATH alone, which is sent to the first listen address:_default' \
&& ret=0
;;
(init)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':directory -- Directory for the files; it is created if it does not exist:_files' \
&& ret=0
;;
(schema)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(key)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_tollgate__subcmd__key_commands" \
"*::: :->key" \
&& ret=0

    case $state in
    (key)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tollgate-key-command-$line[1]:"
        case $line[1] in
            (new)
_arguments "${_arguments_options[@]}" : \
'--id=[Name of the key\: letters, digits, dots, hyphens and underscores]:ID:_default' \
'--expires=[Expiry of the key, such as 2027-01-01T00\:00\:00Z \[default\: never\]]:RFC3339:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[Only those of this realm]:REALM:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(rotate)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[Realm of the key]:REALM:_default' \
'--now[Activate the key immediately, and drop older pending keys. A verifier with a cached JWKS rejects new tokens until its next fetch]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(revoke)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[Realm of the key]:REALM:_default' \
'-h[Print help]' \
'--help[Print help]' \
':kid -- Id of the key, as "tollgate key list" shows it:_default' \
&& ret=0
;;
        esac
    ;;
esac
;;
(token)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_tollgate__subcmd__token_commands" \
"*::: :->token" \
&& ret=0

    case $state in
    (token)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tollgate-token-command-$line[1]:"
        case $line[1] in
            (inspect)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[Use this realm only \[default\: every realm\]]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(mint)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--user=[Name, email address or id of the user]:USER:_default' \
'--ttl=[Lifetime of the token, such as 15m, 8h or 30d; at most the realm'\''s token_ttl \[default\: 1h\]]:DURATION:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(revoke)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--id=[Token or session id\: X-Auth-Token-Id, or "token" in the log; "jti" for tokens of the realm only]:HEX:_default' \
'--realm=[Realm of --user]:NAME:_default' \
'--user=[Every token of this user of the realm\: name, email address or id]:USER:_default' \
'--issuer=[Every token of this issuer for --subject\: "iss" of the token, byte for byte]:ISSUER:_default' \
'--subject=["sub" of the token, byte for byte]:SUBJECT:_default' \
'--before=[With --issuer\: tokens with iat up to this time, by the issuer'\''s clock \[default\: now\]]:RFC3339:_default' \
'-h[Print help]' \
'--help[Print help]' \
'::token -- "-"\: the token that is read from the terminal, or is the first line of standard input:_default' \
&& ret=0
;;
        esac
    ;;
esac
;;
(user)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_tollgate__subcmd__user_commands" \
"*::: :->user" \
&& ret=0

    case $state in
    (user)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tollgate-user-command-$line[1]:"
        case $line[1] in
            (add)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--email=[Email address, also for the login]:EMAIL:_default' \
'*--attribute=[A member of the user'\''s data, as a string; can be repeated]:NAME=VALUE:_default' \
'*--role=[A role for the user'\''s tokens; can be repeated]:ROLE:_default' \
'--temporary[Set a temporary password\: the user must change it at the first login]' \
'(--temporary)--machine[Create a service account with a random secret and print the secret once. No password is read]' \
'-h[Print help]' \
'--help[Print help]' \
':username -- Username:_default' \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--json[One JSON object per line, with all of the user'\''s data]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(set)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--username=[New username]:USERNAME:_default' \
'--email=[New email address; it counts as verified]:EMAIL:_default' \
'*--role=[A role for the user'\''s tokens; can be repeated\: these replace all roles of the user]:ROLE:_default' \
'*--attribute=[A member of the user'\''s data, as a string; NAME= removes it. Can be repeated\: other members stay]:NAME=VALUE:_default' \
'(--email)--no-email[Remove the email address]' \
'(--role)--no-roles[Remove every role]' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
(sessions)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--json[One JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
(passwd)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--temporary[Set a temporary password\: the user must change it at the next login]' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
(enable)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
(disable)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
(vouch)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
(unlock)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
(delete)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
(mfa)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_tollgate__subcmd__user__subcmd__mfa_commands" \
"*::: :->mfa" \
&& ret=0

    case $state in
    (mfa)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tollgate-user-mfa-command-$line[1]:"
        case $line[1] in
            (enable)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
(disable)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- Name, email address or id of the user:_default' \
&& ret=0
;;
        esac
    ;;
esac
;;
(import)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
'::file -- JSON Lines\: {"username", "email", "password_hash", "data", "roles", "disabled", "temporary"}; a name and the hash are required. Standard input if it is absent or "-":_files' \
&& ret=0
;;
        esac
    ;;
esac
;;
(session)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_tollgate__subcmd__session_commands" \
"*::: :->session" \
&& ret=0

    case $state in
    (session)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tollgate-session-command-$line[1]:"
        case $line[1] in
            (end)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[Realm of --all or --user]:NAME:_default' \
'--user=[Every session of this user of the realm\: name, email address or id]:USER:_default' \
'--all[Every session of the realm, including those of trusted issuers'\'' tokens, and every unfinished login]' \
'-h[Print help]' \
'--help[Print help]' \
'::id -- Id of the session, as "tollgate user sessions" shows it:_default' \
&& ret=0
;;
        esac
    ;;
esac
;;
(store)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_tollgate__subcmd__store_commands" \
"*::: :->store" \
&& ret=0

    case $state in
    (store)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:tollgate-store-command-$line[1]:"
        case $line[1] in
            (restored)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_tollgate_commands] )) ||
_tollgate_commands() {
    local commands; commands=(
'serve:Run Tollgate in the foreground, until SIGTERM or SIGINT; SIGHUP reloads the configuration' \
'demo:Start Tollgate with a sample application, a user and a key, and print curl commands to try. Ctrl-C removes all of it' \
'check:Validate a configuration\: print every error and warning with its place, and exit with 0 or 78' \
'explain:Print the decision about a request, and the reason. Nothing is sent, and nothing is counted' \
'init:Write a starter configuration with a signing key and an API key; nothing is overwritten' \
'schema:Print the JSON Schema of the configuration file, for completion and validation in editors' \
'key:API keys and signing keys' \
'token:Access tokens\: inspect, mint, revoke' \
'user:The users of a realm\: add, list, change, import' \
'session:Sessions\: end one of them, all of a user, or all of a realm ("tollgate user sessions" lists them)' \
'store:The database of users, sessions and revocations' \
    )
    _describe -t commands 'tollgate commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__check_commands] )) ||
_tollgate__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate check commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__demo_commands] )) ||
_tollgate__subcmd__demo_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate demo commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__explain_commands] )) ||
_tollgate__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate explain commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__init_commands] )) ||
_tollgate__subcmd__init_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate init commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__key_commands] )) ||
_tollgate__subcmd__key_commands() {
    local commands; commands=(
'new:Create an API key\: print its secret, once, and the section to paste into the configuration' \
'list:List the API keys of a configuration with their validity, and its signing keys with their state' \
'rotate:Create the next signing key\: running processes publish it at once, and it becomes active after publish_ahead' \
'revoke:Remove a stolen signing key\: another key becomes active at once, its tokens are refused, and no session from before can be refreshed' \
    )
    _describe -t commands 'tollgate key commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__key__subcmd__list_commands] )) ||
_tollgate__subcmd__key__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate key list commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__key__subcmd__new_commands] )) ||
_tollgate__subcmd__key__subcmd__new_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate key new commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__key__subcmd__revoke_commands] )) ||
_tollgate__subcmd__key__subcmd__revoke_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate key revoke commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__key__subcmd__rotate_commands] )) ||
_tollgate__subcmd__key__subcmd__rotate_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate key rotate commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__schema_commands] )) ||
_tollgate__subcmd__schema_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate schema commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__serve_commands] )) ||
_tollgate__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate serve commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__session_commands] )) ||
_tollgate__subcmd__session_commands() {
    local commands; commands=(
'end:End sessions\: running processes refuse their tokens within a second, and none can be refreshed' \
    )
    _describe -t commands 'tollgate session commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__session__subcmd__end_commands] )) ||
_tollgate__subcmd__session__subcmd__end_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate session end commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__store_commands] )) ||
_tollgate__subcmd__store_commands() {
    local commands; commands=(
'restored:Report that a backup of the database was restored\: every session of every realm ends, because revocations from after the backup are lost' \
    )
    _describe -t commands 'tollgate store commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__store__subcmd__restored_commands] )) ||
_tollgate__subcmd__store__subcmd__restored_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate store restored commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__token_commands] )) ||
_tollgate__subcmd__token_commands() {
    local commands; commands=(
'inspect:Print the claims of a token, and whether the realms accept it. The token is read from the terminal, or is the first line of standard input' \
'mint:Print a new access token of a user' \
'revoke:Revoke tokens\: one, or all of a user until now. Running processes refuse them within a second' \
    )
    _describe -t commands 'tollgate token commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__token__subcmd__inspect_commands] )) ||
_tollgate__subcmd__token__subcmd__inspect_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate token inspect commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__token__subcmd__mint_commands] )) ||
_tollgate__subcmd__token__subcmd__mint_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate token mint commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__token__subcmd__revoke_commands] )) ||
_tollgate__subcmd__token__subcmd__revoke_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate token revoke commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user_commands] )) ||
_tollgate__subcmd__user_commands() {
    local commands; commands=(
'add:Add a user. The password is read from the terminal, or is the first line of standard input' \
'list:List the users. Never shows passwords or their hashes' \
'set:Change a user'\''s names, roles or data. New names and roles end its sessions, whose tokens have the old ones' \
'sessions:List a user'\''s sessions ("tollgate session end" ends them)' \
'passwd:Set a user'\''s password, and end all its sessions' \
'enable:Enable a disabled user' \
'disable:Disable a user, and end all its sessions' \
'vouch:Mark the email address and data of a self-registered user as verified (required for exchange logins and X-Auth-Email)' \
'unlock:Unlock a user'\''s account after too many wrong passwords or codes' \
'delete:Delete a user, and end all its sessions' \
'mfa:A user'\''s second factor\: one-time codes beside the password' \
'import:Add users with the password hashes of another system (argon2, scrypt, bcrypt)\: all of them, or none' \
    )
    _describe -t commands 'tollgate user commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__add_commands] )) ||
_tollgate__subcmd__user__subcmd__add_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user add commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__delete_commands] )) ||
_tollgate__subcmd__user__subcmd__delete_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user delete commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__disable_commands] )) ||
_tollgate__subcmd__user__subcmd__disable_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user disable commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__enable_commands] )) ||
_tollgate__subcmd__user__subcmd__enable_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user enable commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__import_commands] )) ||
_tollgate__subcmd__user__subcmd__import_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user import commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__list_commands] )) ||
_tollgate__subcmd__user__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user list commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__mfa_commands] )) ||
_tollgate__subcmd__user__subcmd__mfa_commands() {
    local commands; commands=(
'enable:Create a user'\''s second factor, print it once, and end all its sessions' \
'disable:Remove a user'\''s second factor\: the password is sufficient again' \
    )
    _describe -t commands 'tollgate user mfa commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__mfa__subcmd__disable_commands] )) ||
_tollgate__subcmd__user__subcmd__mfa__subcmd__disable_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user mfa disable commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__mfa__subcmd__enable_commands] )) ||
_tollgate__subcmd__user__subcmd__mfa__subcmd__enable_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user mfa enable commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__passwd_commands] )) ||
_tollgate__subcmd__user__subcmd__passwd_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user passwd commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__sessions_commands] )) ||
_tollgate__subcmd__user__subcmd__sessions_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user sessions commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__set_commands] )) ||
_tollgate__subcmd__user__subcmd__set_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user set commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__unlock_commands] )) ||
_tollgate__subcmd__user__subcmd__unlock_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user unlock commands' commands "$@"
}
(( $+functions[_tollgate__subcmd__user__subcmd__vouch_commands] )) ||
_tollgate__subcmd__user__subcmd__vouch_commands() {
    local commands; commands=()
    _describe -t commands 'tollgate user vouch commands' commands "$@"
}

if [ "$funcstack[1]" = "_tollgate" ]; then
    _tollgate "$@"
else
    compdef _tollgate tollgate
fi
