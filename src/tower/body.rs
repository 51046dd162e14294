use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::settling::{AdmittedCall, SettleAt, sealed};
use crate::breaker::CircuitBreaker;
use crate::breaker::owned_permit::EngineOf;
use crate::breaker::permit::{Hold, Suspended};
use crate::http::{ByGrpcStatus, grpc_code};
use crate::outcome::Outcome;

/// Settles a call when the body of its response ends. See
/// [`BreakerLayer::until_body_end`](super::BreakerLayer::until_body_end).
#[derive(Clone, Copy, Debug, Default)]
pub struct AtBodyEnd;

impl sealed::Sealed for AtBodyEnd {}

impl<T: Body> SettleAt<Response<T>> for AtBodyEnd {
    type Response<B: Deref<Target = CircuitBreaker>> = Response<GuardedBody<T, B>>;

    fn finished<E, B>(&self, call: AdmittedCall<B>, result: Result<Response<T>, E>) -> Result<Self::Response<B>, E>
    where
        B: Deref<Target = CircuitBreaker>,
    {
        let (call, response) = match result {
            Ok(response) if call.outcome == Outcome::Success => (Some(call.hold), response),
            // There is nothing left to find out.
            result => {
                call.settle(&result);
                (None, result?)
            }
        };
        let is_grpc_open = is_grpc(response.headers()) && grpc_code(response.headers()).is_none();
        Ok(response.map(|body| GuardedBody::new(body, call, is_grpc_open)))
    }

    fn rejected<B: Deref<Target = CircuitBreaker>>(&self, response: Response<T>) -> Self::Response<B> {
        response.map(|body| GuardedBody::new(body, None, false))
    }
}

/// Whether the response is one of gRPC, or of gRPC-Web, which ends with a message of its own.
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return false };
    let name = content_type.as_bytes().strip_prefix(b"application/grpc");
    name.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

pin_project! {
    /// The body of a response, which holds its call until it ends. Created by
    /// [`BreakerLayer::until_body_end`](super::BreakerLayer::until_body_end).
    ///
    /// It passes every frame on unchanged.
    ///
    /// # Panics
    ///
    /// If the inner body panics, the call counts as a failure and the panic propagates.
    ///
    /// # Cancel safety
    ///
    /// You can drop it at any time. If the body has not ended, the call counts as a dropped call.
    pub struct GuardedBody<T, B>
    where
        B: Deref<Target = CircuitBreaker>,
    {
        #[pin]
        body: T,
        call: OpenCall<B>,
    }
}

/// A call whose body is being read.
struct OpenCall<B: Deref<Target = CircuitBreaker>> {
    /// `None` once the call is settled.
    hold: Option<Hold<EngineOf<B>, Suspended>>,
    /// Whether a gRPC status must still come.
    is_grpc_open: bool,
    /// Whether all bytes that the length promises have been read. Some readers stop there and never see the end.
    is_complete: bool,
}

impl<B: Deref<Target = CircuitBreaker>> OpenCall<B> {
    fn settle(&mut self, outcome: Outcome, type_name: &'static str) {
        if let Some(hold) = self.hold.take() {
            hold.settle(outcome, || type_name);
        }
    }

    /// The body has ended without trailers.
    fn end(&mut self) {
        if self.is_grpc_open {
            self.settle(Outcome::Failure, "missing grpc-status");
        } else {
            self.settle(Outcome::Success, "");
        }
    }

    fn end_with(&mut self, trailers: &HeaderMap) {
        match grpc_code(trailers) {
            Some(code) => self.settle(ByGrpcStatus::new().outcome(code), "grpc-status"),
            None => self.end(),
        }
    }

    /// Settles the call if nothing more can come.
    fn look_at(&mut self, body: &impl Body) {
        if body.is_end_stream() {
            self.end();
        } else {
            self.is_complete = !self.is_grpc_open && body.size_hint().exact() == Some(0);
        }
    }
}

impl<B: Deref<Target = CircuitBreaker>> Drop for OpenCall<B> {
    fn drop(&mut self) {
        if self.is_complete {
            self.settle(Outcome::Success, "");
        }
    }
}

impl<T: Body, B: Deref<Target = CircuitBreaker>> GuardedBody<T, B> {
    fn new(body: T, hold: Option<Hold<EngineOf<B>, Suspended>>, is_grpc_open: bool) -> Self {
        let mut call = OpenCall { hold, is_grpc_open, is_complete: false };
        if let Some(hold) = &mut call.hold {
            hold.end_duration();
            call.look_at(&body);
        }
        GuardedBody { body, call }
    }
}

impl<T: Body, B: Deref<Target = CircuitBreaker>> Body for GuardedBody<T, B> {
    type Data = T::Data;
    type Error = T::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<T::Data>, T::Error>>> {
        let mut this = self.project();
        let call = this.call;
        let Some(hold) = &mut call.hold else { return this.body.poll_frame(cx) };
        // If the body panics, this unwinds with it.
        let inside = hold.enter();
        let polled = this.body.as_mut().poll_frame(cx);
        inside.suspend();
        let frame = ready!(polled);
        match &frame {
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => call.end_with(trailers),
                None => call.look_at(&*this.body),
            },
            Some(Err(_)) => call.settle(Outcome::Failure, std::any::type_name::<T::Error>()),
            None => call.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<T: fmt::Debug, B: Deref<Target = CircuitBreaker>> fmt::Debug for GuardedBody<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody")
            .field("body", &self.body)
            .field("is_settled", &self.call.hold.is_none())
            .finish_non_exhaustive()
    }
}
