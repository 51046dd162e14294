use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{AdmittedCall, AtHead, OnRejection, SettleAt};
use crate::breaker::CircuitBreaker;
use crate::breaker::owned_permit::EngineOf;
use crate::breaker::permit::{Hold, Suspended};
use crate::error::Rejected;
use crate::outcome::judge::Judge;

pin_project! {
    /// The response future of a [`BreakerService`](super::BreakerService).
    ///
    /// The call was admitted or rejected when this future was created. It holds its slot until it finishes.
    ///
    /// # Panics
    ///
    /// If the service's future or the judge panics, which counts as a failure, and if the future is polled
    /// after it has finished.
    ///
    /// # Cancel safety
    ///
    /// You can drop it at any time. Its slot is released, and [`dropped_calls`](crate::Builder::dropped_calls)
    /// decides how the call counts; by default it is neutral.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct BreakerFuture<F, B, J, M, A = AtHead>
    where
        B: Deref<Target = CircuitBreaker>,
    {
        #[pin]
        stage: FutureStage<F, B, J, M>,
        settle_at: A,
    }
}

pin_project! {
    #[project = StageProjection]
    enum FutureStage<F, B, J, M>
    where
        B: Deref<Target = CircuitBreaker>,
    {
        Running {
            #[pin]
            future: F,
            // `None` once it has finished.
            call: Option<(Hold<EngineOf<B>, Suspended>, J)>,
        },
        Rejected {
            // Likewise.
            rejected: Option<Rejected>,
            mode: M,
        },
    }
}

impl<F, B: Deref<Target = CircuitBreaker>, J, M, A> BreakerFuture<F, B, J, M, A> {
    pub(super) fn running(future: F, hold: Hold<EngineOf<B>, Suspended>, judge: J, settle_at: A) -> Self {
        BreakerFuture { stage: FutureStage::Running { future, call: Some((hold, judge)) }, settle_at }
    }

    pub(super) fn rejected(rejected: Rejected, mode: M, settle_at: A) -> Self {
        BreakerFuture { stage: FutureStage::Rejected { rejected: Some(rejected), mode }, settle_at }
    }
}

impl<T, E, F, B, J, M, A> Future for BreakerFuture<F, B, J, M, A>
where
    F: Future<Output = Result<T, E>>,
    B: Deref<Target = CircuitBreaker>,
    J: Judge<Result<T, E>>,
    M: OnRejection<T, E>,
    A: SettleAt<T>,
{
    type Output = Result<A::Response<B>, M::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.stage.project() {
            StageProjection::Running { future, call } => {
                let Some((mut hold, judge)) = call.take() else { polled_again() };
                // If the future or the judge panics, this unwinds with it.
                let inside = hold.enter();
                match future.poll(cx) {
                    Poll::Pending => {
                        inside.suspend();
                        *call = Some((hold, judge));
                        Poll::Pending
                    }
                    Poll::Ready(result) => {
                        let (outcome, message) = judge.judge_with_message(&result);
                        inside.suspend();
                        Poll::Ready(
                            this.settle_at.finished(AdmittedCall { hold, outcome, message }, result).map_err(M::failed),
                        )
                    }
                }
            }
            StageProjection::Rejected { rejected, mode } => {
                let Some(rejected) = rejected.take() else { polled_again() };
                Poll::Ready(mode.rejected(rejected).map(|response| this.settle_at.rejected(response)))
            }
        }
    }
}

fn polled_again() -> ! {
    panic!("`BreakerFuture` was polled after it had finished")
}

impl<F, B: Deref<Target = CircuitBreaker>, J, M, A> fmt::Debug for BreakerFuture<F, B, J, M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            FutureStage::Running { call: Some(_), .. } => "running",
            FutureStage::Rejected { rejected: Some(_), .. } => "rejected",
            _ => "finished",
        };
        f.debug_struct("BreakerFuture").field("stage", &stage).finish_non_exhaustive()
    }
}
