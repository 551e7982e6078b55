//! `tollgate check` is what a start and a reload do, without a write: what fails them fails it, and the other way around.

use std::path::Path;

use crate::harness::*;

/// What a change of the configuration breaks beside the file itself.
fn broken(app: &App, dir: &Path) -> Vec<(&'static str, Conf)> {
    let conf = || Conf::new(app);
    let path = |name: &str| format!("\"{}\"", dir.join(name).display());
    std::fs::write(dir.join("file"), "hello").unwrap();
    std::fs::write(dir.join("garbage.db"), "hello".repeat(100)).unwrap();
    let issuer = |ca: &str| {
        format!(
            "[[realm.trusted_issuer]]\nissuer = \"https://idp.example/\"\naudience = [\"a\"]\n\
             jwks_url = \"https://127.0.0.1:1/\"\nca_file = {ca}\n"
        )
    };
    vec![
        ("log.audit", conf().log("audit", "\"/nope/a.log\"")),
        ("log.audit", conf().log("audit", &path("file/a.log"))),
        ("log.audit", conf().log("audit", &format!("\"{}\"", dir.display()))),
        ("realm.examples.keys_dir", conf().realm("keys_dir", &path("file"))),
        ("realm.examples.keys_dir", conf().realm("keys_dir", &path("file/keys"))),
        ("realm.examples.keys_dir", conf().realm("keys_dir", "\"/proc/keys/new\"")),
        ("store.url", conf().store("sqlite:///nope/t.db")),
        ("store.url", conf().store(&format!("sqlite://{}/file/t.db", dir.display()))),
        ("store.url", conf().store(&format!("sqlite://{}", dir.display()))),
        ("store.url", conf().store(&format!("sqlite://{}/garbage.db", dir.display()))),
        ("server.listen", conf().server("listen", "[\"0.0.0.0:7001\", \"127.0.0.1:7001\"]")),
        ("server.admin", conf().server("listen", "[\"0.0.0.0:7001\"]").server("admin", "\"127.0.0.2:7001\"")),
        ("ca_file", conf().add_realm_tables(&issuer(&path("file")))),
        ("ca_file", conf().add_realm_tables(&issuer(&path("none")))),
    ]
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

#[test]
fn what_fails_a_start_fails_check_and_nothing_is_written() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let cases = broken(&app, dir.path());
    let file = dir.path().join("tollgate.toml");
    let arg = file.to_str().unwrap();
    for (key, conf) in cases {
        write_file(&file, &conf.text(free_port(), free_port()), 0o600);
        let before = names(dir.path());
        let checked = tollgate(&["check", "-c", arg], "").failed(78);
        let line = checked.stderr.lines().find(|line| line.contains(&format!("{key}: ")) || line.contains(key));
        let line = line.unwrap_or_else(|| panic!("nothing about {key}: {}", checked.stderr));
        let place = line.strip_prefix(&format!("{arg}:")).unwrap_or_else(|| panic!("{line}"));
        let numbers: Vec<_> = place.split(": ").next().unwrap().split(':').collect();
        assert!(numbers.len() == 2 && numbers.iter().all(|number| number.parse::<usize>().is_ok()), "{line}");
        // As `systemctl reload` does.
        let offline = tollgate(&["check", "--offline", "-c", arg], "").failed(78);
        assert!(offline.stderr.contains(line), "{}", offline.stderr);
        assert_eq!(names(dir.path()), before, "{key}");
        let served = tollgate(&["serve", "-c", arg], "");
        assert!(matches!(served.code, Some(69 | 78)), "{key}: {:?} {}", served.code, served.stderr);
    }
}

#[test]
fn r67_what_fails_a_reload_fails_check_and_is_told_while_the_old_policy_stays() {
    let app = App::start();
    let mut gate = Conf::new(&app).start();
    let other = tempfile::tempdir().unwrap();
    // The store and the listening addresses are those of the start.
    let of_reload = |key: &&'static str| !key.starts_with("store") && !key.starts_with("server");
    let cases = broken(&app, other.path());
    for (key, conf) in cases.into_iter().filter(|(key, _)| of_reload(key)) {
        let failed = |gate: &Gate| {
            let page = get("/metrics").send(gate.admin).expect(200).text();
            let sample = "tollgate_reloads_total{outcome=\"failure\"} ";
            page.lines().find_map(|line| line.strip_prefix(sample)?.parse::<u64>().ok()).unwrap_or(0)
        };
        let (generation, before) = (gate.generation(), failed(&gate));
        gate.edit_by_rename(&conf);
        until_true(PATIENCE, "the reload fails", || failed(&gate) > before);
        let checked = tollgate(&["check", "-c", &gate.config_arg()], "").failed(78).stderr;
        assert!(checked.contains(key), "{checked}");
        let offline = tollgate(&["check", "--offline", "-c", &gate.config_arg()], "").failed(78).stderr;
        assert!(offline.contains(key), "{offline}");
        let status = gate.status();
        assert_eq!((&status["last_reload"]["ok"], gate.generation()), (&false.into(), generation));
        let told = status["last_reload"]["errors"].to_string();
        assert!(told.contains(key) && checked.lines().any(|line| told.contains(line)), "{told} {checked}");
        assert!(get("/metrics").send(gate.admin).text().contains("\ntollgate_reload_success 0\n"));
        until_true(PATIENCE, "the log says so", || gate.stderr().contains(key));
    }
    let generation = gate.generation();
    gate.edit_by_rename(&Conf::new(&app));
    until_true(PATIENCE, "the new policy is in force", || gate.generation() > generation);
    tollgate(&["check", "-c", &gate.config_arg()], "").ok();
    gate.stop();
}

#[test]
fn who_does_not_answer_is_a_warning_and_no_error() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let check = |conf: &Conf, options: &[&str]| {
        write_file(&file, &conf.text(free_port(), free_port()), 0o600);
        tollgate(&[&["check", "-c", file.to_str().unwrap()], options].concat(), "")
    };
    let issuer = |url: &str| {
        Conf::new(&app).add_realm_tables(&format!(
            "[[realm.trusted_issuer]]\nissuer = \"https://idp.example/\"\naudience = [\"a\"]\n\
             jwks_url = \"{url}\"\ninsecure_http = true\nalgorithms = [\"ES256\"]\n"
        ))
    };
    let nobody = free_port();
    let away = issuer(&format!("http://127.0.0.1:{nobody}/jwks"));
    let ran = check(&away, &[]).ok();
    assert!(ran.stderr.contains("warning: realm.examples.trusted_issuer[0].jwks_url: "), "{}", ran.stderr);
    assert!(check(&away, &["--strict"]).failed(78).stderr.contains("refused by --strict"));
    let told = |ran: Ran| (ran.stderr.contains("jwks_url: "), ran.stderr.contains("store.url: "));
    assert_eq!(told(check(&away, &["--offline"]).ok()), (false, false));
    let idp = Issuer::start();
    idp.serve("/jwks", Serve::json(&serde_json::json!({"keys": []})));
    let ran = check(&issuer(&idp.url("/jwks")), &[]).ok();
    assert!(ran.stderr.contains("jwks_url: "), "an answer without a key: {}", ran.stderr);
    let database = Conf::new(&app).store(&format!("postgres://u@127.0.0.1:{nobody}/d"));
    let ran = check(&database, &[]).ok();
    assert!(ran.stderr.contains("warning: store.url: the database \"d\" at 127.0.0.1"), "{}", ran.stderr);
    assert_eq!(told(check(&database, &["--offline"]).ok()), (false, false));
    let named = Conf::with_upstream("[\"http://no-such-host.invalid\"]");
    let ran = check(&named, &[]).ok();
    assert!(ran.stderr.contains("upstream: no-such-host.invalid does not resolve now"), "{}", ran.stderr);
    assert!(!check(&named, &["--offline"]).ok().stderr.contains("does not resolve"));
}

#[test]
fn each_mistake_is_one_error_with_its_place() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let good = Conf::new(&app).text(free_port(), free_port());
    let errors = |text: &str| -> Vec<String> {
        write_file(&file, text, 0o600);
        let ran = tollgate(&["check", "--json", "-c", file.to_str().unwrap()], "");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(78), ""), "{}", ran.stdout);
        let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let told = found.as_array().unwrap().iter().filter(|one| one["severity"] == "error");
        let line = |one: &serde_json::Value| {
            assert!(one["column"].is_u64() && one["file"] == file.to_str().unwrap(), "{one}");
            let remedy = one["remedy"].as_str().map(|remedy| format!(": {remedy}")).unwrap_or_default();
            format!("{}: {}: {}{remedy}", one["line"], one["key"].as_str().unwrap(), one["message"].as_str().unwrap())
        };
        told.map(line).collect()
    };
    let line_of = |text: &str, start: &str| 1 + text.lines().position(|line| line.starts_with(start)).unwrap();
    // What follows from a bad value is not told.
    let text = Conf::new(&app).realm("require_key", "\"false\"").text(free_port(), free_port());
    let found = errors(&text);
    assert!(found.len() == 1 && found[0].contains("require_key: must be true or false"), "{found:?}");
    // A syntax error hides no other section, and none of what is good.
    let text = good.replacen("issuer = \"", "issuer = ", 1).replacen("access = \"user\"", "access = \"usr\"", 1);
    let found = errors(&text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with(&format!("{}: : is not TOML: ", line_of(&text, "issuer"))), "{found:?}");
    assert!(found[1].contains("route[0].access: ") && found[1].ends_with(": did you mean \"user\"?"), "{found:?}");
    // A key that is written twice is named with both lines.
    let text = good.replacen("[[realm]]\n", "[[realm]]\nissuer = \"https://a.example\"\n", 1);
    let (first, found) = (line_of(&text, "issuer = \"https://a.example\""), errors(&text));
    assert!(found.len() == 1 && found[0].contains(&format!("first in line {first}: remove one")), "{found:?}");
    assert!(!found[0].starts_with(&format!("{first}: ")), "{found:?}");
    // A variable is no value.
    let text = good.replacen("issuer = \"", "issuer = \"https://${HOST}", 1);
    assert!(
        errors(&text)[0].contains("issuer: variables are not expanded, and ${HOST} would count as it is"),
        "{text}"
    );
    // What is no text at all has a place, too.
    std::fs::write(&file, b"[server]\n\xff\n").unwrap();
    let ran = tollgate(&["check", "-c", file.to_str().unwrap()], "").failed(78);
    assert!(ran.stderr.contains(":2:1: is not UTF-8 text: save it as UTF-8"), "{}", ran.stderr);
    let ran = tollgate(&["check", "-c", dir.path().to_str().unwrap()], "").failed(78);
    assert!(ran.stderr.contains("is a directory: write the path of the file in it"), "{}", ran.stderr);
    write_file(&file, &"#".repeat(17 << 20), 0o600);
    let ran = tollgate(&["check", "-c", file.to_str().unwrap()], "").failed(78);
    assert!(ran.stderr.contains("is larger than 16MiB"), "{}", ran.stderr);
    for text in [format!("\u{feff}{good}"), good.replace('\n', "\r\n")] {
        write_file(&file, &text, 0o600);
        tollgate(&["check", "-c", file.to_str().unwrap()], "").ok();
    }
}

#[test]
fn the_mistakes_of_a_newcomer_are_told_once_with_what_to_write() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let good = Conf::new(&app).text(free_port(), free_port());
    let edited = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        good.replace(from, to)
    };
    for (text, expected) in [
        (
            "example.com {\n  reverse_proxy localhost:3000\n}\n".into(),
            ":1:1: is not TOML, but looks like a configuration of nginx or Caddy: ",
        ),
        (
            "server:\n  listen: 127.0.0.1:8080\n".into(),
            ":1:1: is not TOML, but looks like YAML: write sections such as [server]",
        ),
        ("{\n  \"server\": {}\n}\n".into(), ":1:1: is not TOML, but looks like JSON: "),
        (edited("[[route]]", "[[routes]]"), ": routes: unknown section: did you mean route?"),
        (edited("[[realm]]\n", "[realm]\n"), ": realm: must be an array: write [[realm]], with two brackets"),
        (edited("[store]\n", "[store]\nthreads = 4\n"), ": store.threads: is a key of [server]: move it there"),
        (edited("[store]\n", "[store]\nupstreams = 4\n"), ": store.upstreams: unknown key: use one of url, "),
    ] {
        write_file(&file, &text, 0o600);
        let ran = tollgate(&["check", "--offline", "-c", file.to_str().unwrap()], "").failed(78);
        let errors: Vec<_> = ran.stderr.lines().filter(|line| !line.contains(": warning: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(expected), "{expected}: {errors:?}");
    }
}
