//! A store that can't be written to: what is verified flows on.

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use super::*;

/// Lets a process write into no file any more, or into all of them again.
fn let_write(pid: Pid, may: bool) {
    let all = getrlimit(Resource::Fsize);
    let limit = Rlimit { current: if may { all.current } else { Some(0) }, ..all };
    prlimit(Some(pid), Resource::Fsize, limit).unwrap();
}

/// As on a full disk, but without one: every write fails, into the log, too.
#[test]
fn a_full_disk_fails_logins_only_and_until_there_is_room() {
    let app = App::start();
    let site = Site::new(Conf::new(&app));
    let bare = site.command(&[]);
    let mut command = Command::new("sh");
    // The signal that comes with such an error would end it, and a full disk sends none.
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(bare.get_program()).args(bare.get_args());
    let log = fs::File::options().create(true).append(true).open(site.dir.path().join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut gate = Process::of(command.spawn().unwrap());
    site.until_ready(&mut gate);

    let person = |name: &str| serde_json::json!({"username": name, "password": PASSWORD});
    let register = |name| post(auth("")).json(&person(name)).send(site.addr);
    let log_in = || post(auth("login=true&noATCookie=true")).json(&person("alice")).send(site.addr);
    let log_out = |token: &str| post(auth("logout=true")).bearer(token).send(site.addr);
    let visit = |token: &str| get("/app/x").key().bearer(token).send(site.addr);
    register("alice").expect(200);
    let token = log_in().expect(200).header("authorization").unwrap()[7..].to_owned();
    visit(&token).expect(200);

    let_write(gate.pid(), false);
    for _ in 0..3 {
        log_in().refused(503, "store_unavailable");
        register("bob").refused(503, "store_unavailable");
        log_out(&token).refused(503, "store_unavailable");
        visit(&token).expect(200);
        get("/readyz").send(site.admin).expect(200);
    }

    let_write(gate.pid(), true);
    // Who was told that it failed can try again, and nothing of it was kept.
    register("bob").expect(200);
    log_in().expect(200);
    visit(&token).expect(200);
    log_out(&token).expect(200);
    visit(&token).refused(401, "token_revoked");
    assert!(gate.ended().is_none() && !site.log().contains("panicked"), "{}", site.log());
}
