use super::new::parse_id;
use super::*;
use crate::config::Mode;

const FILE: &str = "[server]\nlisten = [\"127.0.0.1:8080\"]\n[store]\nurl = \"sqlite://t.db\"\n[[realm]]\nname = \"a\"\nissuer = \"i\"\n";
const LOGIN: &str = "[[login]]\ndialect = \"project\"\npath = \"/login\"\nrealm = \"a\"\n";

#[test]
fn a_new_key_is_what_the_configuration_takes() {
    let mut out = Vec::new();
    let expires = Some(parse_timestamp("2100-01-01T01:00:00.5+01:00").unwrap());
    New { id: "web".into(), expires }.run(&mut out, 0).unwrap();
    let out = String::from_utf8(out).unwrap();
    let secret = out.lines().next().unwrap().rsplit(' ').next().unwrap();
    assert!(secret.len() == 32 && secret.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{secret}");
    assert_eq!(out.matches(secret).count(), 1, "once only");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    let config = crate::config::parse(&format!("{FILE}{out}{LOGIN}"), &path, Mode::Start).unwrap();
    let key = config.policy.realms[0].api_key(secret).unwrap();
    assert_eq!((key.id.as_str(), key.expires_at), ("web", Some(4_102_444_800)));
    assert_ne!(new_secret().unwrap(), new_secret().unwrap());
}

#[test]
fn an_expiry_is_in_the_future_and_has_an_offset() {
    let expires = parse_timestamp("1970-01-01T00:01:40Z").ok();
    let failure = New { id: "web".into(), expires }.run(&mut Vec::new(), 100).unwrap_err();
    assert_eq!(failure.report(&mut Vec::new()), std::process::ExitCode::from(64));
    assert!(New { id: "web".into(), expires }.run(&mut Vec::new(), 99).is_ok());
    for bad in ["", "tomorrow", "2027-01-01", "2027-01-01T00:00:00"] {
        assert!(parse_timestamp(bad).is_err(), "{bad}");
    }
    assert!(parse_id("a b").is_err() && parse_id("web").is_ok());
}

#[test]
fn a_list_tells_states_and_no_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    let keys = "[[realm.key]]\nid = \"web\"\nsecret = \"hunter2hunter2hunter2\"\n\
                [[realm.key]]\nid = \"old\"\nsecret = \"hunter3hunter3hunter3\"\nexpires = 1970-01-01T00:01:40Z\n\
                [[realm.key]]\nid = \"off\"\nsecret = \"hunter4hunter4hunter4\"\nexpires = 2100-01-01T00:00:00Z\ndisabled = true\n\
                [[realm]]\nname = \"b\"\nissuer = \"i\"\ncookie = \"b\"\n\
                [[realm.key]]\nid = \"web\"\nsecret = \"hunter5hunter5hunter5\"\n";
    std::fs::write(&path, format!("{FILE}{keys}{LOGIN}")).unwrap();
    let list = |realm: Option<&str>| {
        let mut out = Vec::new();
        let args = List { config: ConfigFile { path: path.clone() }, realm: realm.map(String::from) };
        args.run(&mut out, 100).map(|()| String::from_utf8(out).unwrap())
    };
    assert_eq!(
        list(None).unwrap(),
        "ID   REALM  STATE     EXPIRES\n\
         off  a      disabled  2100-01-01T00:00:00Z\n\
         old  a      expired   1970-01-01T00:01:40Z\n\
         web  a      live      never\n\
         web  b      live      never\n\
         \n\
         SIGNING KEY  REALM  ALGORITHM  MADE  STATE\n",
        "no key is shown that is not on the disk"
    );
    assert_eq!(list(Some("b")).unwrap().lines().count(), 4);
    assert_eq!(list(Some("c")).unwrap_err().report(&mut Vec::new()), std::process::ExitCode::from(64));
    assert!(!list(None).unwrap().contains("hunter"));
}

#[test]
fn a_rotation_tells_which_key_signs_from_when_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, format!("{FILE}require_key = false\nalgorithm = \"ES256\"\n{LOGIN}")).unwrap();
    let config = || ConfigFile { path: path.clone() };
    let rotate = |now: i64, at_once: bool| {
        let mut out = Vec::new();
        Rotate { config: config(), realm: "a".into(), now: at_once }.run(&mut out, now).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert!(rotate(1000, false).ends_with("It signs from now on.\n"), "there is nothing that it could wait for");
    assert!(rotate(2000, false).ends_with("It signs from 1970-01-01T00:43:20Z on.\n"));
    assert!(rotate(2001, false).starts_with("Nothing to do: key "));
    let at_once = rotate(2002, true);
    assert!(at_once.contains("It signs from now on.\nDropped the ES256 key "), "{at_once}");
    assert!(at_once.ends_with(", which would have signed from 1970-01-01T00:43:20Z on.\n"), "{at_once}");
    let mut out = Vec::new();
    List { config: config(), realm: None }.run(&mut out, 2100).unwrap();
    let out = String::from_utf8(out).unwrap();
    let states: Vec<_> = out.lines().skip(3).map(|line| line.split_once("  a      ES256      ").unwrap().1).collect();
    assert_eq!(states, ["1970-01-01T00:16:40Z  verifies until 1970-01-31T00:38:22Z", "1970-01-01T00:33:22Z  signs",]);
    let unknown = Rotate { config: config(), realm: "b".into(), now: false }.run(&mut Vec::new(), 1).unwrap_err();
    assert_eq!(unknown.report(&mut Vec::new()), std::process::ExitCode::from(64));
}

#[test]
fn keys_of_id_tokens_are_listed_and_rotated_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    let login = LOGIN.replace("project", "tenant");
    std::fs::write(&path, format!("{FILE}require_key = false\nalgorithm = \"ES256\"\n{login}")).unwrap();
    let config = || ConfigFile { path: path.clone() };
    let mut out = Vec::new();
    Rotate { config: config(), realm: "a".into(), now: false }.run(&mut out, 1000).unwrap();
    let made = String::from_utf8(out).unwrap();
    assert!(made.contains("/keys/a. It signs") && made.contains("/keys/a/id. It signs"), "{made}");
    let mut out = Vec::new();
    List { config: config(), realm: None }.run(&mut out, 2000).unwrap();
    let listed = String::from_utf8(out).unwrap();
    let states: Vec<_> = listed.lines().skip(3).map(|line| line.rsplit_once("Z  ").unwrap().1).collect();
    assert_eq!(states, ["signs", "signs (ID tokens)"]);
}
