//! A span of each request, for an OpenTelemetry collector: OTLP over HTTP, as protobuf.
//!
//! The target is in OpenTelemetry's own variables: `OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`, `_TIMEOUT`,
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`. Spans wait in a bounded queue for a thread that sends them: if a
//! collector is away or slow, spans are lost, and no request.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::warn;

use super::SpanAttributes;
use crate::gate::TraceParent;
use crate::outbound;
use crate::proxy::metrics::RequestOutcome;

/// Sends spans to a collector, if one is named.
pub struct Exporter(Option<(SdkTracerProvider, SdkTracer)>);

/// A span of one recorded request.
#[derive(Debug)]
pub(crate) struct Span(opentelemetry_sdk::trace::Span);

impl Exporter {
    /// Exports to the collector that the environment names. Its connections are made on this runtime.
    ///
    /// # Errors
    /// The environment is wrong.
    pub fn start(runtime: &Handle) -> Result<Self, String> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !is_set("OTEL_EXPORTER_OTLP_ENDPOINT") && !is_set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            return Ok(Self(None));
        }
        let client = outbound::client_builder(true, None)?.build().map_err(|error| outbound::root_cause(&error))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { client, runtime: runtime.clone() })
            .build()
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_…: {error}"))?;
        let resource = Resource::builder();
        let resource = if is_set("OTEL_SERVICE_NAME") { resource } else { resource.with_service_name("tollgate") };
        // Sampling is decided before there is a span.
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("tollgate");
        Ok(Self(Some((provider, tracer))))
    }

    /// Begins a span of a request, if it is to be recorded: as its client decided (Trace Context, 3.2.2.5), and without such a
    /// decision with the probability `ratio`.
    pub(in crate::proxy) fn begin(&self, headers: &HeaderMap, method: &Method, ratio: f64) -> Option<Span> {
        let (_, tracer) = self.0.as_ref()?;
        let parent = match TraceParent::from_headers(headers) {
            Some(parent) if !parent.is_sampled() => return None,
            Some(parent) => {
                let trace = TraceId::from_hex(parent.trace_id()).ok()?;
                let span = SpanId::from_hex(parent.span_id()).ok()?;
                let context = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default());
                Context::new().with_remote_span_context(context)
            }
            None if !is_chosen(ratio) => return None,
            None => Context::new(),
        };
        let span = tracer.span_builder(known(method)).with_kind(SpanKind::Server);
        Some(Span(span.start_with_context(tracer, &parent)))
    }

    /// Sends the remaining spans, within `patience`.
    pub fn finish(&self, patience: Duration) {
        if let Some((provider, _)) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(patience)
        {
            warn!("the last spans were not sent: {error}");
        }
    }
}

impl Span {
    /// `traceparent` for the application: this span is its parent.
    pub(in crate::proxy) fn parent(&self) -> String {
        let context = self.0.span_context();
        format!("00-{}-{}-01", context.trace_id(), context.span_id())
    }

    pub(in crate::proxy) fn trace_id(&self) -> String {
        self.0.span_context().trace_id().to_string()
    }

    /// Ends it. The names are those of OpenTelemetry's conventions for HTTP servers; the query is omitted.
    pub(in crate::proxy) fn end(mut self, attributes: SpanAttributes<'_>) {
        let SpanAttributes { method, path, version, host, client, request_id, requests, end, reason, status, server } =
            attributes;
        let span = &mut self.0;
        if !requests.route.is_empty() {
            span.update_name(format!("{} {}", known(method), requests.route));
            span.set_attribute(KeyValue::new("http.route", requests.route.clone()));
            span.set_attribute(KeyValue::new("tollgate.realm", requests.realm.clone()));
        }
        let version = match version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        };
        span.set_attribute(KeyValue::new("http.request.method", known(method)));
        span.set_attribute(KeyValue::new("url.path", path.to_owned()));
        span.set_attribute(KeyValue::new("server.address", host.to_owned()));
        span.set_attribute(KeyValue::new("network.protocol.version", version));
        span.set_attribute(KeyValue::new("tollgate.request_id", request_id.to_owned()));
        span.set_attribute(KeyValue::new("tollgate.outcome", end.name()));
        for (name, value) in [("client.address", client), ("tollgate.upstream", server)] {
            if let Some(value) = value {
                span.set_attribute(KeyValue::new(name, value));
            }
        }
        if let Some(status) = status {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        }
        if !reason.is_empty() {
            span.set_attribute(KeyValue::new("error.type", reason));
        }
        if end == RequestOutcome::Failed || status.is_some_and(|status| status.is_server_error()) {
            span.set_status(Status::error(reason));
        }
        span.end();
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Exporter").field(&self.0.is_some()).finish()
    }
}

/// An invented method must not become a separate value.
const fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}

/// Returns whether this one belongs to the sampled `ratio`.
fn is_chosen(ratio: f64) -> bool {
    if ratio <= 0.0 {
        return false;
    }
    let mut bytes = [0; 4];
    // Without random bytes nothing else works either.
    aws_lc_rs::rand::fill(&mut bytes).is_ok() && f64::from(u32::from_le_bytes(bytes)) < ratio * f64::from(u32::MAX)
}

/// The HTTP client of Tollgate. The exporter's thread has no runtime of its own.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let (head, body) = request.into_parts();
            let request = client.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
            let answer = request.timeout(TIMEOUT).send().await?;
            let status = answer.status();
            let body = outbound::read_limited(answer, MAX_ANSWER_BYTES).await.map_err(|error| match error {
                Some(error) => HttpError::from(error),
                None => "the collector's answer is too large".into(),
            })?;
            Ok((status, Bytes::from(body)))
        });
        let (status, body): (StatusCode, Bytes) = sending.await?.map_err(|error: HttpError| error)?;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }
}

/// OpenTelemetry's own default.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER_BYTES: usize = 1 << 20;
