# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_tollgate_global_optspecs
    string join \n h/help V/version
end

function __fish_tollgate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_tollgate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_tollgate_using_subcommand
    set -l cmd (__fish_tollgate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c tollgate -n "__fish_tollgate_needs_command" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_needs_command" -s V -l version -d 'Print version'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "serve" -d 'Run Tollgate in the foreground, until SIGTERM or SIGINT; SIGHUP reloads the configuration'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "demo" -d 'Start Tollgate with a sample application, a user and a key, and print curl commands to try. Ctrl-C removes all of it'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "check" -d 'Validate a configuration: print every error and warning with its place, and exit with 0 or 78'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "explain" -d 'Print the decision about a request, and the reason. Nothing is sent, and nothing is counted'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "init" -d 'Write a starter configuration with a signing key and an API key; nothing is overwritten'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "schema" -d 'Print the JSON Schema of the configuration file, for completion and validation in editors'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "key" -d 'API keys and signing keys'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "token" -d 'Access tokens: inspect, mint, revoke'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "user" -d 'The users of a realm: add, list, change, import'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "session" -d 'Sessions: end one of them, all of a user, or all of a realm ("tollgate user sessions" lists them)'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "store" -d 'The database of users, sessions and revocations'
complete -c tollgate -n "__fish_tollgate_using_subcommand serve" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand serve" -l allow-core-dumps -d 'Allow core dumps and debuggers: both show signing keys and passwords'
complete -c tollgate -n "__fish_tollgate_using_subcommand serve" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand demo" -l listen -d 'Listen address; a free port is used if it is in use' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand demo" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand check" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand check" -l strict -d 'Treat warnings as errors'
complete -c tollgate -n "__fish_tollgate_using_subcommand check" -l json -d 'Print errors and warnings as a JSON array: severity, file, line, column, key, message and remedy of each'
complete -c tollgate -n "__fish_tollgate_using_subcommand check" -l offline -d 'Do not contact the database server and the trusted issuers, and do not resolve the names of upstreams'
complete -c tollgate -n "__fish_tollgate_using_subcommand check" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -s H -l header -d 'A header of the request; can be repeated. Its credentials are not printed' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -l from -d 'IP address of the client' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand init" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand schema" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and not __fish_seen_subcommand_from new list rotate revoke" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and not __fish_seen_subcommand_from new list rotate revoke" -f -a "new" -d 'Create an API key: print its secret, once, and the section to paste into the configuration'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and not __fish_seen_subcommand_from new list rotate revoke" -f -a "list" -d 'List the API keys of a configuration with their validity, and its signing keys with their state'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and not __fish_seen_subcommand_from new list rotate revoke" -f -a "rotate" -d 'Create the next signing key: running processes publish it at once, and it becomes active after publish_ahead'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and not __fish_seen_subcommand_from new list rotate revoke" -f -a "revoke" -d 'Remove a stolen signing key: another key becomes active at once, its tokens are refused, and no session from before can be refreshed'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from new" -l id -d 'Name of the key: letters, digits, dots, hyphens and underscores' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from new" -l expires -d 'Expiry of the key, such as 2027-01-01T00:00:00Z [default: never]' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from list" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from list" -l realm -d 'Only those of this realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from rotate" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from rotate" -l realm -d 'Realm of the key' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from rotate" -l now -d 'Activate the key immediately, and drop older pending keys. A verifier with a cached JWKS rejects new tokens until its next fetch'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from revoke" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from revoke" -l realm -d 'Realm of the key' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and not __fish_seen_subcommand_from inspect mint revoke" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and not __fish_seen_subcommand_from inspect mint revoke" -f -a "inspect" -d 'Print the claims of a token, and whether the realms accept it. The token is read from the terminal, or is the first line of standard input'
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and not __fish_seen_subcommand_from inspect mint revoke" -f -a "mint" -d 'Print a new access token of a user'
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and not __fish_seen_subcommand_from inspect mint revoke" -f -a "revoke" -d 'Revoke tokens: one, or all of a user until now. Running processes refuse them within a second'
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from inspect" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from inspect" -l realm -d 'Use this realm only [default: every realm]' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from mint" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from mint" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from mint" -l user -d 'Name, email address or id of the user' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from mint" -l ttl -d 'Lifetime of the token, such as 15m, 8h or 30d; at most the realm\'s token_ttl [default: 1h]' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from mint" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from revoke" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from revoke" -l id -d 'Token or session id: X-Auth-Token-Id, or "token" in the log; "jti" for tokens of the realm only' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from revoke" -l realm -d 'Realm of --user' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from revoke" -l user -d 'Every token of this user of the realm: name, email address or id' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from revoke" -l issuer -d 'Every token of this issuer for --subject: "iss" of the token, byte for byte' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from revoke" -l subject -d '"sub" of the token, byte for byte' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from revoke" -l before -d 'With --issuer: tokens with iat up to this time, by the issuer\'s clock [default: now]' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "add" -d 'Add a user. The password is read from the terminal, or is the first line of standard input'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "list" -d 'List the users. Never shows passwords or their hashes'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "set" -d 'Change a user\'s names, roles or data. New names and roles end its sessions, whose tokens have the old ones'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "sessions" -d 'List a user\'s sessions ("tollgate session end" ends them)'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "passwd" -d 'Set a user\'s password, and end all its sessions'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "enable" -d 'Enable a disabled user'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "disable" -d 'Disable a user, and end all its sessions'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "vouch" -d 'Mark the email address and data of a self-registered user as verified (required for exchange logins and X-Auth-Email)'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "unlock" -d 'Unlock a user\'s account after too many wrong passwords or codes'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "delete" -d 'Delete a user, and end all its sessions'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "mfa" -d 'A user\'s second factor: one-time codes beside the password'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and not __fish_seen_subcommand_from add list set sessions passwd enable disable vouch unlock delete mfa import" -f -a "import" -d 'Add users with the password hashes of another system (argon2, scrypt, bcrypt): all of them, or none'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from add" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from add" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from add" -l email -d 'Email address, also for the login' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from add" -l attribute -d 'A member of the user\'s data, as a string; can be repeated' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from add" -l role -d 'A role for the user\'s tokens; can be repeated' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from add" -l temporary -d 'Set a temporary password: the user must change it at the first login'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from add" -l machine -d 'Create a service account with a random secret and print the secret once. No password is read'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from list" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from list" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from list" -l json -d 'One JSON object per line, with all of the user\'s data'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from set" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from set" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from set" -l username -d 'New username' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from set" -l email -d 'New email address; it counts as verified' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from set" -l role -d 'A role for the user\'s tokens; can be repeated: these replace all roles of the user' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from set" -l attribute -d 'A member of the user\'s data, as a string; NAME= removes it. Can be repeated: other members stay' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from set" -l no-email -d 'Remove the email address'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from set" -l no-roles -d 'Remove every role'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from sessions" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from sessions" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from sessions" -l json -d 'One JSON object per line'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from sessions" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from passwd" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from passwd" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from passwd" -l temporary -d 'Set a temporary password: the user must change it at the next login'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from passwd" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from enable" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from enable" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from disable" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from disable" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from vouch" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from vouch" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from vouch" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from unlock" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from unlock" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from unlock" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from delete" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from delete" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from mfa" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from mfa" -f -a "enable" -d 'Create a user\'s second factor, print it once, and end all its sessions'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from mfa" -f -a "disable" -d 'Remove a user\'s second factor: the password is sufficient again'
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from import" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from import" -l realm -d 'The realm' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand user; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand session; and not __fish_seen_subcommand_from end" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand session; and not __fish_seen_subcommand_from end" -f -a "end" -d 'End sessions: running processes refuse their tokens within a second, and none can be refreshed'
complete -c tollgate -n "__fish_tollgate_using_subcommand session; and __fish_seen_subcommand_from end" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand session; and __fish_seen_subcommand_from end" -l realm -d 'Realm of --all or --user' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand session; and __fish_seen_subcommand_from end" -l user -d 'Every session of this user of the realm: name, email address or id' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand session; and __fish_seen_subcommand_from end" -l all -d 'Every session of the realm, including those of trusted issuers\' tokens, and every unfinished login'
complete -c tollgate -n "__fish_tollgate_using_subcommand session; and __fish_seen_subcommand_from end" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand store; and not __fish_seen_subcommand_from restored" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand store; and not __fish_seen_subcommand_from restored" -f -a "restored" -d 'Report that a backup of the database was restored: every session of every realm ends, because revocations from after the backup are lost'
complete -c tollgate -n "__fish_tollgate_using_subcommand store; and __fish_seen_subcommand_from restored" -s c -l config -d 'The configuration file' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand store; and __fish_seen_subcommand_from restored" -s h -l help -d 'Print help'
