//! Time limits of a head and of a body.

use std::task::Context;

use pingora::protocols::IO;
use tokio::time::{Instant, sleep_until};

use super::ClientStream;
use crate::gate::DenyReason;

impl<S: IO + 'static> ClientStream<S> {
    /// Returns whether the time of this phase is over. The timer is made only when more bytes have to come: most heads
    /// come in one piece.
    pub(super) fn overdue(&mut self, at: impl FnOnce(Instant) -> Instant, context: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at(Instant::now()))));
        timer.as_mut().poll(context).is_ready()
    }

    /// Returns the reason to stop reading this head.
    pub(super) fn head_fault(&mut self, context: &mut Context<'_>) -> Option<DenyReason> {
        let limits = self.listener.limits();
        // This also applies to a head whose last byte comes next: a complete head is not read on.
        if self.read >= limits.head_size {
            return Some(DenyReason::HeadTooLarge);
        }
        self.overdue(|now| now + limits.head_timeout, context).then_some(DenyReason::HeadTimeout)
    }

    /// Returns whether this body is slower than `body_rate`.
    pub(super) fn body_is_slow(&mut self, context: &mut Context<'_>) -> bool {
        let Some(rate) = self.listener.limits().body_rate() else { return false };
        let due = self.body_clock.deadline(self.read, rate);
        loop {
            if !self.overdue(|_| due, context) {
                return false;
            }
            if Instant::now() >= due {
                return true;
            }
            // More has come since the timer was set.
            self.timer = None;
        }
    }
}
