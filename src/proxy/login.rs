//! Reading the body of a login, and having it answered.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tokio::sync::Semaphore;

use super::SharedState;
use super::connection_state::ConnectionState;
use crate::gate::{AdmittedLogin, DenyReason};
use crate::login::{LoginError, LoginEventRecorder, LoginRequest, LoginResponse, dialect};

/// Answers a request to a login path. Records it in `event`.
pub(super) async fn answer(
    session: &mut Session,
    state: &SharedState,
    admitted: &AdmittedLogin,
    event: &LoginEventRecorder,
) -> Result<LoginResponse, LoginError> {
    let body = match tokio::time::timeout(BODY_DEADLINE, read_body(session)).await {
        Ok(body) => body?,
        Err(_) => return Err(DenyReason::BodyTimeout.into()),
    };
    let head = session.req_header();
    let request = LoginRequest {
        admitted,
        method: &head.method,
        headers: &head.headers,
        body,
        now_ms: jiff::Timestamp::now().as_millisecond(),
        event,
    };
    let answer = dialect(&admitted.login.login).handle(request, &state.services).await;
    if answer.as_ref().is_err_and(|refusal| refusal.deny == DenyReason::Busy) {
        hold().await;
    }
    answer
}

/// Holds a client that gets 503 for a second. A flood of logins would come again at once and take the processor from
/// the hashing threads, which have a lower priority (SECURITY.md R64).
async fn hold() {
    static HELD: Semaphore = Semaphore::const_new(MOST_HELD);
    if let Ok(_held) = HELD.try_acquire() {
        tokio::time::sleep(HOLD).await;
    }
}

async fn read_body(session: &mut Session) -> Result<Bytes, DenyReason> {
    let headers = &session.req_header().headers;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(DenyReason::BodyTooLarge);
    }
    if headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        session.write_continue_response().await.map_err(|_| DenyReason::Body)?;
    }
    let mut body = BytesMut::new();
    while let Some(part) = session.read_request_body().await.map_err(|error| unread(&error))? {
        if body.len() + part.len() > MAX_BODY_BYTES {
            return Err(DenyReason::BodyTooLarge);
        }
        body.extend_from_slice(&part);
    }
    ConnectionState::body_ended();
    Ok(body.freeze())
}

fn unread(error: &Error) -> DenyReason {
    let other = if error.etype == ErrorType::ReadTimedout { DenyReason::BodyTimeout } else { DenyReason::Body };
    ConnectionState::body_fault().unwrap_or(other)
}

/// docs/logins.md.
const MAX_BODY_BYTES: usize = 64 << 10;
/// For the whole body: 64 KiB need no longer, and a slow client holds no memory for longer.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// As `Retry-After` says.
const HOLD: Duration = Duration::from_secs(1);
const MOST_HELD: usize = 1024;
