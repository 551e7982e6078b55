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

/// With the feature `otlp`, a collector gets a span of each request that its sender records, and the application is
/// told of it.
#[cfg(feature = "otlp")]
#[test]
fn spans_reach_a_collector_and_the_app_hears_of_them() {
    let (app, collector) = (App::start(), App::start());
    let gate = Conf::new(&app)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .log("access", "\"all\"")
        .start();
    let sent = |target: &str, parent: &str| {
        app.forget();
        let request = get(target).key().header("traceparent", parent).header("tracestate", "a=1");
        gate.send(&request).expect(200);
        app.only().header("traceparent").unwrap()
    };
    let unsampled = PARENT.replace("-01", "-00");
    assert_eq!(sent("/open/quiet", &unsampled), unsampled, "nobody records it");
    let told = sent("/open/x?token=s3cret", PARENT);
    assert_eq!((&told[..35], &told[52..]), (&PARENT[..35], "-01"));
    assert_ne!(told[36..52], PARENT[36..52]);
    assert_eq!(app.only().all("tracestate"), ["a=1"]);
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let spans = until(PATIENCE, "a span", || collector.seen().into_iter().find(|seen| !seen.body().is_empty()));
    assert_eq!((spans.method(), spans.target()), ("POST".to_owned(), "/v1/traces".to_owned()));
    assert_eq!(spans.header("content-type").unwrap(), "application/x-protobuf");
    let body = spans.body();
    let has = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    for id in [&PARENT[3..35], &PARENT[36..52], &told[36..52]] {
        assert!(has(&bytes(id)), "{id}");
    }
    for text in ["GET /open", "/open/x", "tollgate", "http.response.status_code", "127.0.0.1"] {
        assert!(has(text.as_bytes()), "{text}");
    }
    for secret in ["s3cret", KEY, "/open/quiet"] {
        assert!(!has(secret.as_bytes()), "{secret}");
    }
    until_true(PATIENCE, "the line", || gate.stderr().contains("trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\""));
    // Of requests without a trace, the configured ratio.
    gate.edit_by_rename(&gate.conf().log("trace_ratio", "1"));
    until_true(PATIENCE, "the reload", || gate.generation() == 2);
    app.forget();
    gate.send(&get("/open/x").key()).expect(200);
    assert!(app.only().header("traceparent").is_some());
}
