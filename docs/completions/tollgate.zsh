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
'--listen=[Where to listen; if that is taken, a free port is]:ADDRESS:_default' \
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
'--offline[Do not ask the database server and the trusted issuers whether they answer, nor look up the names of upstreams]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'*-H+[A header of the request; may be given several times. What it carries is not shown]:NAME: VALUE:_default' \
'*--header=[A header of the request; may be given several times. What it carries is not shown]:NAME: VALUE:_default' \
'--from=[Who connects]:ADDRESS:_default' \
'-h[Print help]' \
'--help[Print help]' \
':method -- The request'\''s method:_default' \
':url -- What is asked for\: https\://HOST/PATH?QUERY, http\://…, or /PATH alone, at the first address that the gate listens on:_default' \
&& ret=0
;;
(init)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':directory -- Where to write it; the directory is made if it is not there:_files' \
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
'--id=[What people call the key\: letters, digits, dots, hyphens and underscores]:ID:_default' \
'--expires=[From when on it is refused, such as 2027-01-01T00\:00\:00Z \[default\: never\]]:RFC3339:_default' \
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
'--realm=[Whose tokens it signs]:REALM:_default' \
'--now[It signs at once, and those are dropped that wait for their turns\: who verifies tokens with a key set that he fetched before does not know it yet]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(revoke)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[Whose tokens it signs]:REALM:_default' \
'-h[Print help]' \
'--help[Print help]' \
':kid -- The key'\''s id, as "tollgate key list" shows it:_default' \
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
'--realm=[Only as this realm sees it \[default\: every realm\]]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(mint)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--user=[The user'\''s name, email address or id]:USER:_default' \
'--ttl=[How long the token lives, such as 15m, 8h or 30d; at most the realm'\''s token_ttl \[default\: 1h\]]:DURATION:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(revoke)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--id=[The token or session of this id\: X-Auth-Token-Id, or "token" in the log; "jti" only of the gate'\''s own tokens]:HEX:_default' \
'--realm=[The realm of --user]:NAME:_default' \
'--user=[Every token of this user of the realm\: name, email address or id]:USER:_default' \
'--issuer=[Every token that this issuer issued to --subject\: "iss" of the token, letter for letter]:ISSUER:_default' \
'--subject=["sub" of the token, letter for letter]:SUBJECT:_default' \
'--before=[With --issuer\: only what was issued until then, by the issuer'\''s clock \[default\: now\]]:RFC3339:_default' \
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
'--email=[An email address to log in with, too]:EMAIL:_default' \
'*--attribute=[A member of the user'\''s data, as a string. May be given several times]:NAME=VALUE:_default' \
'*--role=[A role for the user'\''s tokens. May be given several times]:ROLE:_default' \
'--temporary[The password is only for choosing another one, at the first login]' \
'(--temporary)--machine[A program'\''s user. No password is read\: it is a random secret, which is printed once]' \
'-h[Print help]' \
'--help[Print help]' \
':username -- The name to log in with:_default' \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--json[One JSON object a line, with all of the user'\''s data]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(set)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--username=[Another name to log in with]:USERNAME:_default' \
'--email=[Another email address, which counts as verified]:EMAIL:_default' \
'*--role=[A role for the user'\''s tokens. May be given several times\: these take the place of all that the user has]:ROLE:_default' \
'*--attribute=[A member of the user'\''s data, as a string; NAME= removes it. May be given several times\: other members stay]:NAME=VALUE:_default' \
'(--email)--no-email[Remove the email address]' \
'(--role)--no-roles[Remove every role]' \
'-h[Print help]' \
'--help[Print help]' \
':user -- The user'\''s name, email address or id:_default' \
&& ret=0
;;
(sessions)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--json[One JSON object a line]' \
'-h[Print help]' \
'--help[Print help]' \
':user -- The user'\''s name, email address or id:_default' \
&& ret=0
;;
(passwd)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'--temporary[The password is only for choosing another one, at the next login]' \
'-h[Print help]' \
'--help[Print help]' \
':user -- The user'\''s name, email address or id:_default' \
&& ret=0
;;
(enable)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- The user'\''s name, email address or id:_default' \
&& ret=0
;;
(disable)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- The user'\''s name, email address or id:_default' \
&& ret=0
;;
(vouch)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- The user'\''s name, email address or id:_default' \
&& ret=0
;;
(unlock)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- The user'\''s name, email address or id:_default' \
&& ret=0
;;
(delete)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- The user'\''s name, email address or id:_default' \
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
':user -- The user'\''s name, email address or id:_default' \
&& ret=0
;;
(disable)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--realm=[The realm]:NAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
':user -- The user'\''s name, email address or id:_default' \
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
'::file -- JSON Lines\: {"username", "email", "password_hash", "data", "roles", "disabled", "temporary"}; a name and the hash are needed. Standard input if it is absent or "-":_files' \
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
'--realm=[The realm of --all or --user]:NAME:_default' \
'--user=[Every session of this user of the realm\: name, email address or id]:USER:_default' \
'--all[Every session of the realm, those of trusted issuers'\'' tokens too, and every login that was begun and not finished]' \
'-h[Print help]' \
'--help[Print help]' \
'::id -- The session of this id, as "tollgate user sessions" shows it:_default' \
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
'serve:Run the gate in the foreground, until SIGTERM or SIGINT; SIGHUP reloads the configuration' \
'demo:Try it\: a gate, an app behind it, a user and a key, and curl lines to paste. Ctrl-C leaves nothing behind' \
'check:Validate a configuration\: print every error and warning with its place, and exit with 0 or 78' \
'explain:Say which rule decides about a request, and why. Nothing is sent, and nothing is counted' \
'init:Write a starter configuration with a signing key and an API key; nothing is overwritten' \
'schema:Print the JSON Schema of the configuration file, with which editors complete keys and mark invalid values' \
'key:API keys, and the keys that sign tokens' \
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
'new:Make an API key\: print its secret, once, and the section to paste into the configuration' \
'list:List the API keys of a configuration, and whether they are live; and its signing keys, and which one signs' \
'rotate:Make a new signing key\: running gates publish it at once, and sign with it after publish_ahead' \
'revoke:Take a signing key away that may have been stolen\: another one signs at once, tokens that it signed count no more, and no session of before can be refreshed' \
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
'end:End sessions\: their tokens are refused by running gates within a second, and none can be refreshed' \
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
'restored:Say that a backup of the database was put back\: every session of every realm ends, since what was revoked after the backup was made would count again' \
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
'inspect:Say what a token holds, and whether it would be accepted or why not. The token is read from the terminal, or is the first line of standard input' \
'mint:Print a new access token of a user, to try something out or to give to a program' \
'revoke:Refuse tokens\: one of them, or all that a user was issued until now. A running gate does so within a second' \
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
'set:Change a user'\''s names, roles or data. Names and roles end its sessions, whose tokens say the old ones' \
'sessions:List a user'\''s sessions ("tollgate session end" ends them)' \
'passwd:Set a user'\''s password, and end all its sessions' \
'enable:Let a disabled user log in again' \
'disable:Refuse a user'\''s logins, and end all its sessions' \
'vouch:Stand by a user'\''s email address and data, for exchange logins and X-Auth-Email\: of users who registered themselves' \
'unlock:Unlock a user'\''s account after too many wrong passwords or codes' \
'delete:Delete a user, and end all its sessions' \
'mfa:A user'\''s second factor\: one-time codes, beside the password' \
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
'enable:Make a user'\''s second factor, print it once, and end all its sessions' \
'disable:Remove a user'\''s second factor\: the password is enough again' \
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
