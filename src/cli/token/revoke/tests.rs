use std::path::Path;
use std::time::Duration;

use clap::Parser;

use super::*;
use crate::cli::token::Command;
use crate::cli::user::new_user;
use crate::config::{Database, SameSite};
use crate::store::{self, RevocationEntry, StoreError, User};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const NOW: i64 = 1_800_000_000;
const LONGEST: i64 = NOW + 3650 * 86_400 + 300;

async fn shop() -> (std::sync::Arc<dyn Store>, Realm, User, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = store::open(&Database::Sqlite(directory.path().join("store.db"))).await.unwrap();
    let user = User { username: Some("alice".into()), ..new_user("examples", 0) };
    store.create_user(&user).await.unwrap();
    (store, Realm::for_tests(false, SameSite::Lax, false), user, directory)
}

async fn log_in(store: &dyn Store, user: &User, now: i64) -> Result<TokenId, StoreError> {
    let claims = session::new_claims(user, Duration::from_secs(3600), now);
    store.create_session(&session::new_session("examples", &claims), user.version).await.map(|()| claims.token_id)
}

#[tokio::test]
async fn a_user_loses_every_token_and_may_log_in_within_the_same_second() {
    let (store, realm, user, _directory) = shop().await;
    let (old, fresh) = (log_in(&*store, &user, NOW - 9).await.unwrap(), log_in(&*store, &user, NOW).await.unwrap());
    let said = What::User { realm: &realm, user: "ALICE" }.revoke(&*store, NOW).await.unwrap();
    assert!(said.starts_with("ALICE: 2 sessions ended, and all tokens that were issued until 2027-01-15T07:59:59Z"));
    let revoked = store.revocations_after(0, NOW, 10).await.unwrap();
    let ended = |token| revoked.iter().any(|revoked| matches!(revoked, RevocationEntry::Id(id) if id.token == token));
    assert!(ended(old) && ended(fresh), "the second that has begun is ended exactly");
    let account = AccountId::new("https://gate.example.com", &user.id);
    let cut = revoked.iter().find_map(|revoked| match revoked {
        RevocationEntry::Account(cut) => Some((cut.account, cut.until, cut.expires_at)),
        RevocationEntry::Id(_) => None,
    });
    assert_eq!(cut, Some((account, NOW - 1, LONGEST)));
    // Its password was checked before.
    assert!(matches!(log_in(&*store, &user, NOW).await, Err(StoreError::VersionConflict)));
    let user = find(&*store, "examples", "alice").await.unwrap();
    log_in(&*store, &user, NOW).await.unwrap();
    assert_eq!(What::User { realm: &realm, user: "bob" }.revoke(&*store, NOW).await.unwrap_err().code, exit::DATA);
}

#[tokio::test]
async fn an_id_is_kept_as_long_as_its_session_or_as_any_token_could_live() {
    let (store, _, user, _directory) = shop().await;
    let token = log_in(&*store, &user, NOW).await.unwrap();
    for _ in 0..2 {
        let said = What::Id(token).revoke(&*store, NOW).await.unwrap();
        assert_eq!(said, format!("{token} is revoked until {}", rfc3339(NOW + 3600 + 300)));
    }
    let said = What::Id(TokenId(1)).revoke(&*store, NOW).await.unwrap();
    assert!(said.ends_with("though no session of this id is known") && said.contains(&rfc3339(LONGEST)), "{said}");
}

#[test]
fn a_cut_off_by_hand_is_not_in_the_future_and_a_token_not_an_argument() {
    let text = "[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nurl = \"sqlite://x.db\"\n[[realm]]\nname = \"r\"\n\
                issuer = \"i\"\nrequire_key = false\n[[login]]\ndialect = \"project\"\npath = \"/l\"\nrealm = \"r\"\n";
    let config = crate::config::parse(text, Path::new("t.toml"), Mode::Start).unwrap();
    let what = |arguments: &[&str]| {
        let cli = Cli::try_parse_from([&["token", "revoke", "-c", "t.toml"], arguments].concat());
        let Command::Revoke(revoke) = cli.map_err(|error| error.to_string())?.command else { unreachable!() };
        match revoke.what(&config, &mut "x".as_bytes(), false, NOW) {
            Ok(What::Account { until, .. }) => Ok(until),
            Ok(_) => Ok(0),
            Err(failure) => Err(failure.lines.concat()),
        }
    };
    let account = ["--issuer", "i", "--subject", "s"];
    let before = |time| what(&[&account[..], &["--before", time]].concat());
    assert_eq!(what(&account), Ok(NOW));
    assert_eq!(before("2027-01-15T07:00:00.9Z"), Ok(NOW - 3600));
    assert!(before("2027-01-15T08:00:01Z").unwrap_err().contains("future"));
    assert!(before("2027-01-15").is_err());
    assert!(what(&["--issuer", "i", "--subject", ""]).is_err());
    assert_eq!(what(&["--id", "0123456789ABCDEF0123456789abcdef"]), Ok(0));
    for secret in ["eyJ.a.b", "-eyJ"] {
        for arguments in [&["--id", secret][..], &[secret]] {
            let error = what(arguments).unwrap_err();
            assert!(!error.contains("a.b"), "{error}");
        }
    }
    assert!(what(&["-"]).unwrap_err().contains("(r: token_malformed)"));
}
