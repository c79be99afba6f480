//! Work that is under way and that others may wait for instead of doing it too.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tracing::Instrument as _;

use super::AppError;

/// What becomes of a piece of work.
type Outcome<T> = Result<T, AppError>;
type Flight<T> = Shared<BoxFuture<'static, Outcome<T>>>;

/// Pieces of work under way in this process, each once. There are no more of them than requests.
pub struct Flights<K, T>(Arc<Mutex<HashMap<K, Flight<T>>>>);

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Does the work, or waits for whoever does the same. It goes on when nobody waits any more:
    /// what it costs is to be booked.
    pub(super) async fn join(
        &self,
        key: K,
        work: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Outcome<T> {
        let flight = {
            let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.get(&key).cloned().unwrap_or_else(|| {
                let (list, place) = (Arc::clone(&self.0), key.clone());
                let work = async move {
                    let _landing = Landing(list, place);
                    work.await
                };
                let task = tokio::spawn(work.in_current_span());
                let flight = async move {
                    task.await.unwrap_or_else(|_| {
                        let what = "a task ended without an outcome";
                        Err(AppError::Internal(what.to_owned()))
                    })
                };
                let flight = flight.boxed().shared();
                under_way.insert(key, flight.clone());
                flight
            })
        };
        flight.await
    }
}

/// Takes a piece of work off the list at its end, whatever the end is.
struct Landing<K: Eq + Hash, T>(Arc<Mutex<HashMap<K, Flight<T>>>>, K);

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn the_same_work_is_done_once_at_a_time() {
        let (flights, done) = (Flights::default(), Arc::new(AtomicUsize::new(0)));
        let work = |key: u8| {
            let done = Arc::clone(&done);
            flights.join(key, async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(done.fetch_add(1, Ordering::SeqCst))
            })
        };
        let outcomes = join_all([work(1), work(1), work(2), work(1)]).await;
        assert_eq!(done.load(Ordering::SeqCst), 2);
        assert_eq!(outcomes[0].as_ref().unwrap(), outcomes[3].as_ref().unwrap());
        // What has ended is done anew.
        work(1).await.unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_failure_is_everybodys_and_a_panic_is_one() {
        let flights: Flights<u8, ()> = Flights::default();
        let fail = || flights.join(1, async { Err(AppError::Busy) });
        for outcome in join_all([fail(), fail()]).await {
            assert!(matches!(outcome, Err(AppError::Busy)));
        }
        let panic = flights.join(1, async { panic!("on purpose") });
        assert!(matches!(panic.await, Err(AppError::Internal(_))));
        assert!(flights.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_work_goes_on_when_its_asker_leaves() {
        let (flights, done) = (Flights::default(), Arc::new(AtomicUsize::new(0)));
        let ended = Arc::clone(&done);
        let work = flights.join(1, async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok(ended.fetch_add(1, Ordering::SeqCst))
        });
        let left = tokio::time::timeout(Duration::from_millis(5), work).await;
        assert!(left.is_err());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }
}
