//! W3C trace context: <https://www.w3.org/TR/trace-context/>

use crate::harness::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn what_a_client_says_of_its_trace_is_passed_on_or_dropped() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let passed = |headers: &[(&str, &str)]| {
        app.forget();
        let request = headers.iter().fold(get("/open/x").key(), |request, (name, value)| request.header(name, value));
        gate.send(&request).expect(200);
        let seen = app.only();
        (seen.all("traceparent"), seen.all("tracestate"))
    };
    let none: Vec<String> = Vec::new();
    let parent = vec![PARENT.to_owned()];
    assert_eq!(passed(&[]), (none.clone(), none.clone()), "it makes none up");
    assert_eq!(passed(&[("traceparent", PARENT)]), (parent.clone(), none.clone()));
    let state = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";
    assert_eq!(passed(&[("TraceParent", PARENT), ("tracestate", state)]), (parent.clone(), vec![state.to_owned()]));
    let two = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
    assert_eq!(passed(&two).1.join(","), "a=1,b=2");
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what";
    assert_eq!(passed(&[("traceparent", later)]).0, [later]);
    for bad in [
        "",
        "x",
        &PARENT.to_uppercase(),
        &PARENT.replace("00f067aa0ba902b7", "0000000000000000"),
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert_eq!(passed(&[("traceparent", bad), ("tracestate", state)]), (none.clone(), none.clone()), "{bad}");
    }
    assert_eq!(passed(&[("traceparent", PARENT), ("traceparent", PARENT)]), (none.clone(), none.clone()), "never two");
    assert_eq!(passed(&[("tracestate", state)]), (none.clone(), none.clone()));
    assert_eq!(passed(&[("traceparent", PARENT), ("tracestate", "no list")]), (parent, none));
}
