use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use serde_json::Value;

use super::*;
use crate::config::{Database, SameSite};
use crate::store::{self, RevocationEntry, Session};
use crate::token::TokenId;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

pub(super) struct Shop {
    pub(super) store: Arc<dyn Store>,
    /// A login of the realm supports challenges.
    pub(super) asks: bool,
    _directory: tempfile::TempDir,
}

impl Shop {
    pub(super) async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = store::open(&Database::Sqlite(directory.path().join("store.db"))).await.unwrap();
        Self { store, asks: true, _directory: directory }
    }

    /// Runs `tollgate user` with these arguments and this standard input; returns its standard output. The first
    /// argument is the command; "mfa enable" is one argument.
    pub(super) async fn run(&self, arguments: &[&str], input: &str) -> Result<String, Failure> {
        let command = std::iter::once("user").chain(arguments[0].split(' '));
        let place = ["-c", "unused.toml", "--realm", "examples"];
        let cli = Cli::try_parse_from(command.chain(place).chain(arguments[1..].iter().copied()));
        let command = cli.map_err(|error| Failure::new(exit::USAGE, error.to_string()))?.command;
        let mut output = Vec::new();
        let mut console =
            Console { input: &mut input.as_bytes(), interactive: false, output: &mut output, colours: false };
        let realm = Realm::for_tests(false, SameSite::None, false);
        let terms = Terms { realm: &realm, asks: self.asks, has_pool: false };
        execute(&command, &self.store, terms, &mut console, 1_609_066_725_000).await?;
        Ok(String::from_utf8(output).unwrap())
    }

    pub(super) async fn user(&self, text: &str) -> User {
        find(&*self.store, "examples", text).await.unwrap()
    }

    pub(super) async fn log_in(&self, text: &str) -> TokenId {
        let (user, token) = (self.user(text).await, TokenId::random());
        let session = Session {
            realm: "examples".into(),
            user_id: user.id,
            token,
            created_at: 1_609_066_725,
            expires_at: 1_900_000_000,
            refresh: None,
            epoch: None,
        };
        self.store.create_session(&session, user.version).await.unwrap();
        token
    }

    pub(super) async fn revoked(&self) -> Vec<TokenId> {
        let all = self.store.revocations_after(0, 0, 100).await.unwrap();
        let ids = all.into_iter().filter_map(|revoked| match revoked {
            RevocationEntry::Id(revocation) => Some(revocation.token),
            RevocationEntry::Account(_) => None,
        });
        ids.collect()
    }
}

async fn opens(user: &User, password: &str) -> bool {
    let pool = password::HashPool::new(1, 1).unwrap();
    let share = password::Share { realm: "examples", client: std::net::Ipv4Addr::LOCALHOST.into() };
    pool.verify(share, &Password::new(password.into()), Some(&user.password)).await.unwrap()
}

#[tokio::test]
async fn add_takes_names_attributes_roles_and_a_line_of_password() {
    let shop = Shop::open().await;
    let arguments =
        ["add", "--email", "A@example.com", "--attribute", "team=a=b", "--attribute", "x=", "--role", "admin", "Alice"];
    let said = shop.run(&arguments, "pass word \r\nrest\n").await.unwrap();
    let user = shop.user("alice").await;
    assert_eq!(said, format!("added Alice ({})\n", user.id));
    assert_eq!(
        Value::Object(user.data.clone()).to_string(),
        r#"{"username":"Alice","email":"A@example.com","team":"a=b","x":""}"#
    );
    assert_eq!((user.email.as_deref(), user.roles.as_slice()), (Some("A@example.com"), &["admin".to_owned()][..]));
    assert!(opens(&user, "pass word ").await);
    for (arguments, input, code) in [
        (&["add", "ALICE"][..], "a long secret\n", exit::DATA),
        (&["add", "--email", "a@EXAMPLE.com", "bob"], "a long secret\n", exit::DATA),
        (&["add", "bob"], "\n", exit::DATA),
        (&["add", "bob"], "", exit::DATA),
        (&["add", "bob\u{200b}"], "a long secret\n", exit::DATA),
        (&["add", "--email", "a@b@c", "bob"], "a long secret\n", exit::DATA),
        (&["add", "--attribute", "team", "bob"], "a long secret\n", exit::USAGE),
        (&["add", "--attribute", "=x", "bob"], "a long secret\n", exit::USAGE),
        (&["add", "--attribute", "password=x", "bob"], "a long secret\n", exit::USAGE),
        (&["add", "--attribute", "a=1", "--attribute", "a=2", "bob"], "a long secret\n", exit::USAGE),
        (&["add", "--role", "a,b", "bob"], "a long secret\n", exit::USAGE),
        (&["add"], "a long secret\n", exit::USAGE),
    ] {
        assert_eq!(shop.run(arguments, input).await.unwrap_err().code, code, "{arguments:?}");
    }
    assert_eq!(shop.store.users("examples", None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_machine_gets_a_secret_and_is_asked_for_none() {
    let shop = Shop::open().await;
    let mut secrets = Vec::new();
    for name in ["billing", "backup"] {
        let said = shop.run(&["add", "--machine", "--role", "sync", name], "typed\n").await.unwrap();
        let (user, lines) = (shop.user(name).await, said.lines().collect::<Vec<_>>());
        assert_eq!(lines[0], format!("added {name} ({})", user.id));
        let secret = lines[1].strip_prefix("the secret, which is shown only this once: ").unwrap();
        assert_eq!((lines.len(), URL_SAFE_NO_PAD.decode(secret).unwrap().len()), (2, 32));
        assert!(opens(&user, secret).await && !opens(&user, "typed").await && !opens(&user, "").await);
        assert!(!user.temporary && user.second_factor.is_none());
        secrets.push(secret.to_owned());
    }
    assert_ne!(secrets[0], secrets[1]);
    // The name is taken: print no secret.
    assert_eq!(shop.run(&["add", "--machine", "Billing"], "").await.unwrap_err().code, exit::DATA);
    let both = shop.run(&["add", "--machine", "--temporary", "both"], "a long secret\n").await;
    assert_eq!(both.unwrap_err().code, exit::USAGE);
    assert_eq!(shop.store.users("examples", None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_shown_once_must_be_read() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut console = Console { input: &mut io::empty(), interactive: false, output: &mut Gone, colours: false };
    console.print_line("a list").unwrap();
    console.print_secret("a secret").unwrap_err();
}

#[tokio::test]
async fn r66_weak_passwords_are_given_by_nobody() {
    let shop = Shop::open().await;
    let add = ["add", "--email", "w.orange@example.com", "wilhelmina"];
    for weak in ["seven77", "Password1", "Wilhelmina!", "w.orange", "examples"] {
        let failure = shop.run(&add, &format!("{weak}\n")).await.unwrap_err();
        assert!(
            failure.code == exit::DATA && failure.lines[0].starts_with("tollgate: the password is "),
            "{failure:?}"
        );
    }
    shop.run(&add, "a long secret\n").await.unwrap();
    for weak in ["seven77", "Password1", "Wilhelmina!"] {
        assert_eq!(shop.run(&["passwd", "wilhelmina"], &format!("{weak}\n")).await.unwrap_err().code, exit::DATA);
    }
    assert!(opens(&shop.user("wilhelmina").await, "a long secret").await);
}

#[tokio::test]
async fn nobody_is_asked_what_no_login_can_ask() {
    let mut shop = Shop::open().await;
    shop.run(&["add", "alice"], "a long secret\n").await.unwrap();
    let before = shop.user("alice").await;
    shop.asks = false;
    for (arguments, input) in [
        (&["add", "--temporary", "bob"][..], "a long secret\n"),
        (&["passwd", "--temporary", "alice"], "another secret\n"),
        (&["mfa enable", "alice"], ""),
    ] {
        let failure = shop.run(arguments, input).await.unwrap_err();
        assert!(failure.code == exit::CONFIG && failure.lines[0].contains("dialect = \"tenant\""), "{failure:?}");
    }
    let hash = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let line = json!({"username": "bob", "password_hash": hash, "temporary": true});
    let failure = shop.run(&["import"], &format!("{line}\n")).await.unwrap_err();
    assert!(failure.lines[0].contains("line 1: ") && failure.lines[0].contains("a new password"), "{failure:?}");
    assert_eq!(shop.user("alice").await, before);
    assert_eq!(shop.store.users("examples", None, 10).await.unwrap().len(), 1);
    let failure = shop.run(&["mfa enable", "nobody"], "").await.unwrap_err();
    assert_eq!(failure, Failure::new(exit::DATA, "there is no user nobody"));
}

#[tokio::test]
async fn r60_what_the_operator_says_of_an_address_counts() {
    let shop = Shop::open().await;
    shop.run(&["add", "--email", "a@example.com", "alice"], "a long secret\n").await.unwrap();
    shop.run(&["add", "bob"], "a long secret\n").await.unwrap();
    assert!(shop.user("alice").await.email_verified && !shop.user("bob").await.email_verified);
    let own = User { email: Some("c@example.com".into()), ..new_user("examples", 0) };
    shop.store.create_user(&User { vouched: false, email_verified: false, ..own }).await.unwrap();
    shop.run(&["vouch", "c@example.com"], "").await.unwrap();
    assert!(shop.user("c@example.com").await.email_verified);
}

#[tokio::test]
async fn a_password_is_temporary_until_it_is_set_again() {
    let shop = Shop::open().await;
    shop.run(&["add", "--temporary", "alice"], "first secret\n").await.unwrap();
    assert!(shop.user("alice").await.temporary && opens(&shop.user("alice").await, "first secret").await);
    shop.run(&["disable", "alice"], "").await.unwrap();
    shop.run(&["enable", "alice"], "").await.unwrap();
    assert!(shop.user("alice").await.temporary, "that is another matter");
    shop.run(&["passwd", "alice"], "second secret\n").await.unwrap();
    assert!(!shop.user("alice").await.temporary);
    let ended = shop.log_in("alice").await;
    let said = shop.run(&["passwd", "--temporary", "alice"], "third secret\n").await.unwrap();
    assert_eq!(said, "temporary password of alice set, 1 sessions ended\n");
    assert_eq!(shop.revoked().await, [ended]);
    assert!(shop.user("alice").await.temporary && opens(&shop.user("alice").await, "third secret").await);
    assert!(shop.run(&["list"], "").await.unwrap().contains(" temporary "));
    shop.run(&["disable", "alice"], "").await.unwrap();
    let list = shop.run(&["list"], "").await.unwrap();
    assert!(list.contains(" disabled ") && !list.contains("temporary"), "{list}");
}

#[tokio::test]
async fn disable_passwd_and_delete_end_every_session() {
    let shop = Shop::open().await;
    shop.run(&["add", "alice"], "a long secret\n").await.unwrap();
    shop.run(&["add", "bob"], "a long secret\n").await.unwrap();
    let bystander = shop.log_in("bob").await;
    let mut ended = vec![shop.log_in("alice").await, shop.log_in("alice").await];
    assert_eq!(shop.run(&["disable", "ALICE"], "").await.unwrap(), "ALICE disabled, 2 sessions ended\n");
    assert!(shop.user("alice").await.disabled);
    shop.run(&["enable", "alice"], "").await.unwrap();
    assert!(!shop.user("alice").await.disabled);
    ended.push(shop.log_in("alice").await);
    assert_eq!(
        shop.run(&["passwd", "alice"], "a new secret\n").await.unwrap(),
        "password of alice set, 1 sessions ended\n"
    );
    assert!(opens(&shop.user("alice").await, "a new secret").await);
    ended.push(shop.log_in("alice").await);
    assert_eq!(shop.run(&["delete", "alice"], "").await.unwrap(), "alice deleted, 1 sessions ended\n");
    let revoked = shop.revoked().await;
    assert!(ended.iter().all(|token| revoked.contains(token)) && !revoked.contains(&bystander));
    for command in ["disable", "enable", "passwd", "delete"] {
        let failure = shop.run(&[command, "alice"], "a long secret\n").await.unwrap_err();
        assert_eq!(failure, Failure::new(exit::DATA, "there is no user alice"));
    }
    let id = shop.user("bob").await.id;
    shop.run(&["delete", &id], "").await.unwrap();
}

#[tokio::test]
async fn a_name_that_means_two_users_means_neither() {
    let shop = Shop::open().await;
    shop.run(&["add", "--email", "x@example.com", "alice"], "a long secret\n").await.unwrap();
    shop.run(&["add", "x@example.com"], "a long secret\n").await.unwrap();
    let failure = shop.run(&["delete", "X@example.com"], "").await.unwrap_err();
    assert!(failure.code == exit::DATA && failure.lines[0].contains("use the user id"), "{failure:?}");
    shop.run(&["add", "--email", "y@example.com", "y@example.com"], "a long secret\n").await.unwrap();
    shop.run(&["delete", "y@example.com"], "").await.unwrap();
}

#[tokio::test]
async fn list_shows_everyone_and_no_hash() {
    let shop = Shop::open().await;
    shop.run(&["add", "--role", "a", "--role", "b", "--email", "a@b.example", "Alice"], "a long secret\n")
        .await
        .unwrap();
    shop.run(&["disable", "alice"], "").await.unwrap();
    let id = shop.user("alice").await.id;
    let table = shop.run(&["list"], "").await.unwrap();
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let created = "2020-12-27T10:58:45.000Z";
    assert_eq!(words[0], ["USERNAME", "EMAIL", "STATE", "MFA", "ROLES", "CREATED", "ID"]);
    assert_eq!(words[1..], [["Alice", "a@b.example", "disabled", "-", "a,b", created, &*id]]);
    let lines = shop.run(&["list", "--json"], "").await.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&lines).unwrap(),
        json!({"id": id, "username": "Alice", "email": "a@b.example", "data": {"username": "Alice", "email": "a@b.example"},
               "roles": ["a", "b"], "disabled": true, "temporary": false, "locked": false, "mfa": false, "vouched": true, "emailVerified": true,
               "createdAt": created, "updatedAt": created})
    );
    assert!(!lines.contains("argon2") && !table.contains("argon2"));
}

#[tokio::test]
async fn import_adds_users_that_can_log_in() {
    let shop = Shop::open().await;
    let hash = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let lines = format!(
        "{{\"username\":\"Alice\",\"password_hash\":\"{hash}\",\"roles\":[\"a\"],\"data\":{{\"n\":1,\"username\":\"Alice\"}}}}\n\n\
         {{\"email\":\"b@example.com\",\"password_hash\":\"{hash}\",\"disabled\":true,\"temporary\":true}}\r\n"
    );
    assert_eq!(shop.run(&["import"], &lines).await.unwrap(), "2 users imported\n");
    let (alice, bob) = (shop.user("alice").await, shop.user("b@example.com").await);
    assert!(opens(&alice, "U*U").await && !opens(&alice, "U*V").await);
    assert_eq!(Value::Object(alice.data).to_string(), r#"{"username":"Alice","n":1}"#);
    assert_eq!((alice.roles, alice.disabled, alice.temporary), (vec!["a".to_owned()], false, false));
    assert_eq!((bob.username, bob.disabled, bob.temporary), (None, true, true));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.jsonl");
    std::fs::write(&file, lines.replace("Alice", "Carol").replace("b@", "d@")).unwrap();
    assert_eq!(shop.run(&["import", file.to_str().unwrap()], "").await.unwrap(), "2 users imported\n");
    assert_eq!(shop.run(&["import", "/absent"], "").await.unwrap_err().code, exit::DATA);
    assert_eq!(shop.run(&["import", "-"], "").await.unwrap(), "0 users imported\n");
}

#[tokio::test]
async fn import_reports_every_bad_line_and_writes_none() {
    let shop = Shop::open().await;
    shop.run(&["add", "Taken"], "a long secret\n").await.unwrap();
    let hash = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let user = |name: &str| json!({"username": name, "password_hash": hash});
    let with = |member: &str, value: Value| {
        let mut user = user(member);
        user[member] = value;
        user.to_string()
    };
    let bad = [
        ("not JSON".to_owned(), "one object without duplicate members"),
        (r#"{"username":"x","username":"y"}"#.into(), "one object without duplicate members"),
        (json!({"password_hash": hash}).to_string(), "username or email"),
        (json!({"username": "x"}).to_string(), "password_hash"),
        (with("username", json!("a\u{0}")), "username must be"),
        (with("username", json!(1)), "username is not a string"),
        (with("email", json!("a@b@c")), "email address"),
        (with("password_hash", json!("5f4dcc3b5aa765d61d8327deb882cf99")), "not an argon2"),
        (
            with(
                "password_hash",
                json!("$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzYWx0$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"),
            ),
            "cost",
        ),
        (with("roles", json!("admin")), "roles"),
        (with("roles", json!(["a b"])), "role"),
        (with("data", json!([])), "data"),
        (with("data", json!({"password": "x"})), "password"),
        (with("data", json!({"username": "y"})), "differs"),
        (with("disabled", json!("no")), "disabled"),
        (with("temporary", json!(1)), "temporary is neither"),
        (with("pasword", json!("x")), "pasword"),
        (user("TAKEN").to_string(), "exists"),
        (user("ＧＯＯＤ").to_string(), "line 1"),
    ];
    let lines: Vec<_> = bad.iter().map(|(line, _)| line.clone()).collect();
    let input = format!("{}\n{}\n", user("good"), lines.join("\n"));
    let failure = shop.run(&["import"], &input).await.unwrap_err();
    assert_eq!(failure.code, exit::DATA);
    for (at, (line, message)) in bad.iter().enumerate() {
        let found = failure.lines.iter().find(|found| found.starts_with(&format!("line {}: ", at + 2)));
        let found = found.unwrap_or_else(|| panic!("nothing about {line}"));
        assert!(found.contains(message), "{line}: {found}");
    }
    assert_eq!(failure.lines.len(), bad.len(), "{:#?}", failure.lines);
    assert!(!failure.lines.concat().contains("5f4dcc3b"), "no hash in what is printed");
    assert_eq!(shop.store.users("examples", None, 10).await.unwrap().len(), 1);
}
