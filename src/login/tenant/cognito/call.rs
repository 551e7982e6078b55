//! One call to a user pool: a request in Cognito's format, and a strict check of the response.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use serde_json::{Map, Value};

use crate::config::UserPool;
use crate::{json, outbound};

/// The actions of a pool. None requires a signature.
#[derive(Clone, Copy, Debug)]
pub(super) enum CognitoAction {
    InitiateAuth,
    RespondToAuthChallenge,
    RevokeToken,
}

impl CognitoAction {
    const fn name(self) -> &'static str {
        match self {
            Self::InitiateAuth => "InitiateAuth",
            Self::RespondToAuthChallenge => "RespondToAuthChallenge",
            Self::RevokeToken => "RevokeToken",
        }
    }
}

/// The reason that a call failed. The pool's message is for the log.
#[derive(Debug)]
pub(super) enum CallError {
    /// The pool refused: the name of its exception, and its message.
    Refused { kind: String, message: String },
    /// The pool was unreachable, or the response is not that of a user pool.
    Failed(String),
    /// The pool did not answer in time.
    TimedOut,
    /// Too many calls are under way.
    Busy,
}

/// Makes a call. Returns an object that is not an exception.
///
/// A call is made once: a repeated password counts twice, and a challenge can be answered once. Only a failed
/// connection is retried.
pub(super) async fn call(
    pool: &UserPool,
    operation: CognitoAction,
    request: &Value,
) -> Result<Map<String, Value>, CallError> {
    let Ok(_permit) = pool.calls.try_acquire() else { return Err(CallError::Busy) };
    let answer = tokio::time::timeout(pool.timeout, async {
        let response = match send(pool, operation, request).await {
            Err(error) if error.is_connect() => send(pool, operation, request).await,
            sent => sent,
        };
        let response = response.map_err(|error| CallError::Failed(outbound::root_cause(&error)))?;
        read(response).await
    });
    let mut answer = answer.await.unwrap_or(Err(CallError::TimedOut));
    if let Err(CallError::Refused { message, .. }) = &mut answer {
        *message = without_values(message, request);
    }
    answer
}

async fn send(pool: &UserPool, operation: CognitoAction, request: &Value) -> reqwest::Result<Response> {
    pool.client
        .post(pool.url())
        .header(CONTENT_TYPE, "application/x-amz-json-1.1")
        .header("X-Amz-Target", format!("AWSCognitoIdentityProviderService.{}", operation.name()))
        .body(request.to_string())
        .send()
        .await
}

async fn read(response: Response) -> Result<Map<String, Value>, CallError> {
    let status = response.status();
    let kind = kind_in(response.headers());
    let body = outbound::read_limited(response, MAX_ANSWER_BYTES).await.map_err(|error| {
        CallError::Failed(
            error.map_or_else(|| "it answered with too much".into(), |error| outbound::root_cause(&error)),
        )
    })?;
    judge(status, kind, &body)
}

/// By the name of the exception, never by the status: Cognito answers a wrong password with 400, and its documentation
/// says 403.
fn judge(status: StatusCode, in_header: Option<String>, body: &[u8]) -> Result<Map<String, Value>, CallError> {
    let object = json::object(body);
    let said = |name: &str| object.as_ref().ok()?.get(name)?.as_str();
    let kind = said("__type").map(|kind| kind.rsplit('#').next().unwrap_or(kind).to_owned()).or(in_header);
    if let Some(kind) = kind {
        // `message` or `Message`, depending on the service.
        let message = said("message").or_else(|| said("Message")).unwrap_or_default();
        let kind = kind.chars().take(MAX_KIND_CHARS).collect();
        return Err(CallError::Refused { kind, message: message.to_owned() });
    }
    match object {
        Ok(object) if status == StatusCode::OK => Ok(object),
        Ok(_) => Err(CallError::Failed(format!("it answered {status} without an exception"))),
        Err(_) => Err(CallError::Failed(format!("it answered {status} with something else than a JSON object"))),
    }
}

/// `NotAuthorizedException:http://…` in older protocols, with a namespace in others.
fn kind_in(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-amzn-errortype")?.to_str().unwrap_or_default();
    let name = text.split(':').next().unwrap_or(text);
    Some(name.rsplit('#').next().unwrap_or(name).to_owned())
}

/// Returns the message without the sent values, truncated: Cognito quotes invalid parameters.
fn without_values(message: &str, request: &Value) -> String {
    let mut message = message.to_owned();
    let mut values = vec![request];
    while let Some(value) = values.pop() {
        match value {
            Value::String(text) if !text.is_empty() => message = message.replace(text.as_str(), "…"),
            Value::Object(members) => values.extend(members.values()),
            _ => {}
        }
    }
    message.chars().take(MAX_MESSAGE_CHARS).collect()
}

/// Tokens with many groups take some 10 KiB.
const MAX_ANSWER_BYTES: usize = 64 << 10;
const MAX_MESSAGE_CHARS: usize = 200;
const MAX_KIND_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(status: u16, in_header: Option<&str>, body: &str) -> String {
        match judge(StatusCode::from_u16(status).unwrap(), in_header.map(str::to_owned), body.as_bytes()) {
            Ok(_) => "ok".into(),
            Err(CallError::Refused { kind, message }) => format!("{kind}: {message}"),
            Err(CallError::Failed(_)) => "failed".into(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_exception_is_one_whatever_its_status_and_an_answer_is_an_object_with_200() {
        for (status, in_header, body, expected) in [
            (200, None, "{}", "ok"),
            (200, None, r#"{"__type":"A","message":"m"}"#, "A: m"),
            (400, None, r#"{"__type":"com.amazonaws.cognito#A","Message":"m"}"#, "A: m"),
            (500, Some("A"), r#"{"message":null}"#, "A: "),
            (403, Some("A"), "<html>", "A: "),
            (400, None, "{}", "failed"),
            (201, None, "{}", "failed"),
            (200, None, "[]", "failed"),
            (200, None, "", "failed"),
            (200, None, "<html>", "failed"),
            (200, None, r#"{"a":1,"a":1}"#, "failed"),
            (302, None, "", "failed"),
        ] {
            assert_eq!(kind(status, in_header, body), expected, "{status} {in_header:?} {body}");
        }
        for (header, expected) in [("A", "A"), ("A:http://x#y", "A"), ("aws.x#A", "A"), ("", "")] {
            let headers = [("x-amzn-errortype".parse().unwrap(), header.parse().unwrap())].into_iter().collect();
            assert_eq!(kind_in(&headers).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_we_sent_is_not_in_what_it_said() {
        let request =
            json!({"ClientId": "app", "AuthParameters": {"USERNAME": "alice", "PASSWORD": "hunter2", "X": ""}});
        assert_eq!(without_values("no 'hunter2' of alice at app", &request), "no '…' of … at …");
        assert_eq!(without_values(&"é".repeat(300), &request).chars().count(), 200);
    }
}
